"""Which layer of a trained network each layer of another takes its weight from: two sequences, aligned along depth.

Both are in the order of execution. How unlike two layers are is a sum over what their graphs say of them: kind of
convolution, kernel, what feeds them and what they feed, channels relative to the network's width. Then:

**Within a family** each of our layers has a layer of its own in the source, in the same order, hardly unlike it. Of all
equally good alignments the earliest is taken: the first N layers of each stage, as Xu et al. select them (Initializing
Models with Larger Ones, ICLR 2024, section 3.1), for a stage is told by its channels.

Where we have more layers, the source's may serve several times, and going back costs: blocks are repeated in place.

**Across families** relative depth counts more than channels.

Legend: m our layers, n the source's; C (m, n) how unlike they are, in units of 1/`UNIT`, `NEVER` where they have
nothing in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghn.initializers.transfer.network import Place

UNIT = 1024
"""Integers, so that sums of equals are equal."""

NEVER = 1 << 40

FAMILY = 1.0
"""Mean unlikeness up to which two networks are of one family: all layers twice as wide inside, but not all kernels."""

CHAIN = 0.25
"""Of a layer that the one before it feeds, where their counterparts do not stand side by side: blocks stay whole."""

REUSE, BACK = 0.5, 2.0
"""Of a layer that is taken twice; of going back over the whole depth."""


def align(ours: Sequence[Place], theirs: Sequence[Place]) -> Mapping[str, str]:
    """Our layers' names, each with that of a layer of the source; those without a like one are left out.

    Heads go to heads of as many classes; the caller says of the others why they stay.
    """
    found: dict[str, str] = {}
    for name, head in heads(ours, theirs).items():
        if next(place.out for place in ours if place.name == name) == head.out:
            found[name] = head.name
    mine, others = ([place for place in places if not place.head] for places in (ours, theirs))
    if mine and others:
        chosen = _chosen(mine, others)
        found |= {place.name: others[j].name for place, j in zip(mine, chosen, strict=True) if j >= 0}
    return found


def heads(ours: Sequence[Place], theirs: Sequence[Place]) -> Mapping[str, Place]:
    """Our heads' names, each with a head of the source, in order and then its last."""
    others = [place for place in theirs if place.head]
    mine = [place.name for place in ours if place.head]
    return {name: others[min(index, len(others) - 1)] for index, name in enumerate(mine)} if others else {}


# How unlike


@dataclass(frozen=True)
class Weights:
    """What counts how much.

    Attributes:
        kernel: Of an octave of a kernel's side.
        width: Of an octave of channels, in and out each.
        depth: Of the whole depth.
    """

    kernel: float
    width: float
    depth: float


IN_FAMILY = Weights(kernel=1.0, width=1.0, depth=1.0)
ACROSS = Weights(kernel=0.5, width=0.25, depth=6.0)


def unlikeness(ours: Place, theirs: Place, kernel: float = 1.0) -> float:
    """Of two layers, their channels left aside; infinite where they have nothing in common.

    Args:
        ours: A layer.
        theirs: One of the source.
        kernel: Of an octave of a kernel's side.
    """
    if ours.first != theirs.first or (theirs.depthwise and not ours.depthwise):
        return math.inf
    cost = kernel * _of_kernels(ours.kernel, theirs.kernel)
    if ours.depthwise and not theirs.depthwise:
        if math.prod(theirs.kernel) == 1:
            return math.inf
        cost += 1.5
    apart = _apart(ours.before, theirs.before) + _apart(ours.after, theirs.after) + (ours.pooled != theirs.pooled)
    return cost + 0.5 * apart


def _of_kernels(ours: tuple[int, ...], theirs: tuple[int, ...]) -> float:
    """In octaves of a kernel's side; a linear layer is nearly a kernel of one position."""
    cost = abs(math.log2(math.prod(ours) / math.prod(theirs))) / 2
    return cost if len(ours) == len(theirs) else cost + 0.25


def _apart(ours: frozenset[str], theirs: frozenset[str]) -> float:
    union = len(ours | theirs)
    return 1 - len(ours & theirs) / union if union else 0.0


def _costs(ours: Sequence[Place], theirs: Sequence[Place], wider: float, weights: Weights) -> NDArray[np.int64]:
    """C, where the source is `wider` octaves wider than ours; depth is not counted."""
    out, inputs = (_octaves(ours, part)[:, None] - _octaves(theirs, part)[None] for part in ("out", "inputs"))
    # What reads images, or one channel each, has no width there.
    wide = np.array([[not (a.first or a.depthwise or b.depthwise) for b in theirs] for a in ours])
    base = np.array([[unlikeness(a, b, weights.kernel) for b in theirs] for a in ours])
    total = base + weights.width * (np.abs(out + wider) + np.where(wide, np.abs(inputs + wider), 0))
    return np.where(np.isfinite(total), np.rint(UNIT * np.nan_to_num(total, posinf=0)), NEVER).astype(np.int64)


def _octaves(places: Sequence[Place], part: str) -> NDArray[np.float64]:
    return np.log2([max(1, getattr(place, part)) for place in places])


def _wider(ours: Sequence[Place], theirs: Sequence[Place]) -> list[float]:
    """By how many octaves the source may be wider: as its widest, its first, its typical layer."""
    mine, others = _octaves(ours, "out"), _octaves(theirs, "out")
    found = (np.median(others) - np.median(mine), others.max() - mine.max(), others[0] - mine[0], 0.0)
    return list(dict.fromkeys(map(float, found)))


# Alignments


def _chosen(ours: Sequence[Place], theirs: Sequence[Place]) -> list[int]:
    """Which of the source's layers each of ours takes its weight from; −1 for none."""
    most = FAMILY * UNIT * len(ours)
    cost, chosen = min(
        (in_order(_costs(ours, theirs, wider, IN_FAMILY), _jumps(ours)) for wider in _wider(ours, theirs)),
        key=lambda pair: pair[0],
    )
    if cost > most:
        cost, chosen = _repeating(ours, theirs, IN_FAMILY)
    if cost > most or -1 in chosen:
        _, chosen = _repeating(ours, theirs, ACROSS)
    return chosen


def _jumps(ours: Sequence[Place]) -> NDArray[np.int64]:
    """What it costs to leave out columns before each row, (m,)."""
    return np.array([round(UNIT * CHAIN) if place.chained else 0 for place in ours], dtype=np.int64)


def in_order(C: NDArray[np.int64], jumps: NDArray[np.int64]) -> tuple[int, list[int]]:
    """Strictly ascending columns, one for each row, of least cost; the earliest of these.

    Args:
        C: (m, n).
        jumps: (m,), what it costs where a row's column is not the one after the column of the row before.

    Returns:
        The cost, at least `NEVER` where there are none, and the columns.
    """
    m, n = C.shape
    # S[j]: the least cost from this row on where the row before took column j - 1; T[i, j]: where row i takes column j.
    S, T = np.zeros(n + 1, dtype=np.int64), np.empty((m, n), dtype=np.int64)
    for i in range(m - 1, -1, -1):
        T[i] = np.minimum(C[i] + S[1:], NEVER)
        S = np.full(n + 1, NEVER, dtype=np.int64)
        S[:n] = np.minimum(T[i], np.minimum.accumulate(T[i, ::-1])[::-1] + jumps[i])
    if T[0].min() >= NEVER:
        return NEVER, []
    chosen = [int(T[0].argmin())]
    for i in range(1, m):
        start = chosen[-1] + 1
        onward = T[i, start:] + jumps[i]
        onward[0] -= jumps[i]
        chosen.append(start + int(onward.argmin()))
    return int(T[0].min()), chosen


def _repeating(ours: Sequence[Place], theirs: Sequence[Place], weights: Weights) -> tuple[int, list[int]]:
    """A like layer near the same relative depth for each of ours, several times if need be; see `with_repeats`."""
    rows, columns = (np.arange(count) / max(1, count - 1) for count in (len(ours), len(theirs)))
    apart = np.rint(UNIT * weights.depth * np.abs(rows[:, None] - columns[None])).astype(np.int64)
    found = []
    for wider in _wider(ours, theirs):
        C = _costs(ours, theirs, wider, weights)
        found.append(with_repeats(np.where(C < NEVER, C + apart, NEVER), _jumps(ours)))
    return min(found, key=lambda pair: pair[0])


def with_repeats(C: NDArray[np.int64], jumps: NDArray[np.int64]) -> tuple[int, list[int]]:
    """Columns, one for each row, of least cost, where staying and going back cost (Viterbi); the earliest of these.

    Args:
        C: (m, n).
        jumps: (m,), as for `in_order`.

    Returns:
        The cost, and the columns; −1 for rows in which all is `NEVER`, which cost nothing.
    """
    rows = [i for i in range(len(C)) if (C[i] < NEVER).any()]
    chosen = [-1] * len(C)
    if not rows:
        return 0, chosen
    n = C.shape[1]
    steps = np.arange(n)[None] - np.arange(n)[:, None]
    back = np.rint(UNIT * (REUSE - BACK * steps / max(1, n - 1))).astype(np.int64)
    move = np.where(steps > 0, 0, back)
    # S[j]: the least cost of the rows from this one on if it takes column j; afterwards the best column of each next.
    S, following = C[rows[-1]].copy(), []
    for i, row_after in zip(reversed(rows[:-1]), reversed(rows[1:]), strict=True):
        onward = move + np.where(steps == 1, 0, jumps[row_after]) + S[None]
        following.append(onward.argmin(1))
        S = C[i] + onward.min(1)
    j = int(S.argmin())
    cost = int(S[j])
    for i, best in zip(rows, [*reversed(following), None], strict=True):
        chosen[i] = j
        j = j if best is None else int(best[j])
    return cost, chosen
