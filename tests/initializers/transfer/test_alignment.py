"""Alignments against all that there are, and which layers of which network go to which."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ghn.initializers.transfer.alignment import BACK, NEVER, REUSE, UNIT, align, in_order, unlikeness, with_repeats
from ghn.initializers.transfer.network import Place

CONV = Place(
    name="",
    op="conv",
    out=8,
    inputs=8,
    kernel=(3, 3),
    head=False,
    first=False,
    before=frozenset({"conv"}),
    after=frozenset({"conv"}),
)


def matrices() -> list[NDArray[np.int64]]:
    random = np.random.default_rng(0)
    # Few values, so that many alignments are equally good.
    found = [random.integers(0, 3, (m, n)) * UNIT for m in (1, 2, 3, 4) for n in (1, 3, 5) for _ in range(6)]
    for matrix in found[::3]:
        matrix[random.random(matrix.shape) < 0.3] = NEVER
    return found


@pytest.mark.parametrize("C", matrices(), ids=lambda C: "x".join(map(str, C.shape)))
def test_in_order_is_the_earliest_of_the_best(C: NDArray[np.int64]) -> None:
    m, n = C.shape
    jumps = UNIT * np.array([0, 1, 0, 2], dtype=np.int64)[:m]
    ranked = []
    for columns in itertools.combinations(range(n), m):
        skipped = sum(int(jumps[i]) for i in range(1, m) if columns[i] != columns[i - 1] + 1)
        cost = sum(int(C[i, j]) for i, j in enumerate(columns)) + skipped
        if cost < NEVER:
            ranked.append((cost, list(columns)))
    cost, found = in_order(C, jumps)
    if ranked:
        assert (cost, found) == min(ranked)
    else:
        assert cost >= NEVER


@pytest.mark.parametrize("C", matrices(), ids=lambda C: "x".join(map(str, C.shape)))
def test_repeats_cost_what_they_say(C: NDArray[np.int64]) -> None:
    m, n = C.shape
    jumps = UNIT * np.array([0, 1, 0, 2], dtype=np.int64)[:m]
    rows = [i for i in range(m) if (C[i] < NEVER).any()]

    def cost_of(columns: tuple[int, ...]) -> int:
        total = sum(int(C[i, j]) for i, j in zip(rows, columns, strict=True))
        for i, k, j in zip(rows[1:], columns, columns[1:], strict=False):
            total += 0 if j == k + 1 else int(jumps[i])
            total += 0 if j > k else round(UNIT * (REUSE + BACK * (k - j) / max(1, n - 1)))
        return total

    least = min((cost_of(columns) for columns in itertools.product(range(n), repeat=len(rows))), default=0)
    cost, found = with_repeats(C, jumps)
    assert [j >= 0 for j in found] == [i in rows for i in range(m)]
    assert cost == cost_of(tuple(j for j in found if j >= 0)) == least


def sequence(*places: Place) -> list[Place]:
    return [replace(place, name=str(index)) for index, place in enumerate(places)]


def indices(ours: list[Place], theirs: list[Place]) -> list[int]:
    found = align(ours, theirs)
    return [int(found[place.name]) for place in ours]


STEM = replace(CONV, first=True, inputs=3, before=frozenset({"input"}))
HEAD = replace(CONV, head=True, kernel=(), out=10)
QKV = replace(CONV, kernel=(), out=24, before=frozenset({"sum"}), after=frozenset({"msa"}))
PROJ = replace(CONV, kernel=(), before=frozenset({"msa"}), after=frozenset({"sum"}), chained=True)


def wide(place: Place, factor: int) -> Place:
    return replace(place, out=place.out * factor, inputs=place.inputs * (1 if place.first else factor))


def stage(width: int, count: int, before: int | None = None) -> list[Place]:
    """Layers of one width."""
    first = width if before is None else before
    return [replace(CONV, out=width, inputs=width if index else first) for index in range(count)]


def test_the_first_layers_of_each_stage() -> None:
    ours = sequence(STEM, *stage(8, 2), *stage(16, 2, 8), *stage(32, 1, 16), HEAD)
    theirs = sequence(STEM, *stage(8, 3), *stage(16, 4, 8), *stage(32, 6, 16), HEAD)
    assert indices(ours, theirs) == [0, 1, 2, 4, 5, 8, 14]
    wider = sequence(*(replace(wide(place, 2), out=10) if place.head else wide(place, 2) for place in theirs))
    assert indices(ours, wider) == [0, 1, 2, 4, 5, 8, 14]


def test_blocks_stay_whole_where_we_have_more() -> None:
    ours = sequence(STEM, *[QKV, PROJ] * 4, HEAD)
    theirs = sequence(STEM, *[QKV, PROJ] * 2, HEAD)
    assert indices(ours, theirs) == [0, 1, 2, 1, 2, 3, 4, 3, 4, 5]
    assert indices(theirs, ours) == [0, 1, 2, 3, 4, 9]


def test_what_has_nothing_in_common_is_left_out() -> None:
    depthwise = replace(CONV, op="sep_conv", inputs=1)
    assert unlikeness(CONV, depthwise) == unlikeness(STEM, CONV) == float("inf")
    assert unlikeness(depthwise, replace(CONV, kernel=(1, 1))) == float("inf")
    assert 0 == unlikeness(depthwise, depthwise) < unlikeness(depthwise, CONV) < float("inf")
    assert unlikeness(CONV, replace(CONV, kernel=(5, 5))) < unlikeness(CONV, replace(CONV, kernel=(1, 1)))
    assert unlikeness(CONV, replace(CONV, after=frozenset({"sum"}))) == 0.5
    assert align(sequence(STEM, CONV), sequence(replace(STEM, head=False), depthwise)) == {"0": "0"}
    assert align(sequence(CONV), sequence(HEAD)) == {}


def test_heads_go_to_heads_of_as_many_classes() -> None:
    assert align(sequence(HEAD, HEAD), sequence(HEAD)) == {"0": "0", "1": "0"}
    assert align(sequence(HEAD), sequence(replace(HEAD, out=11))) == {}
