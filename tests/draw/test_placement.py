"""Geometry of drawings: nothing overlaps, nothing runs through a box, whatever the graph."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn.draw.placement import FOLD_HEIGHT, PORT, Placement, Point, place

Edges = list[tuple[int, int]]


def chain(count: int) -> Edges:
    return [(node, node + 1) for node in range(count - 1)]


def dense(count: int) -> Edges:
    return list(combinations(range(count), 2))


def residual(count: int, skip: int = 4) -> Edges:
    return chain(count) + [(node, node + skip) for node in range(0, count - skip, skip)]


GRAPHS: dict[str, tuple[int, Edges]] = {
    "one node": (1, []),
    "two apart": (2, []),
    "chain": (12, chain(12)),
    "folded chain": (60, chain(60)),
    "residual": (80, residual(80)),
    "dense": (12, dense(12)),
    "folded dense": (40, dense(40)),
    "four branches": (
        10,
        [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (5, 6), (2, 7), *((n, 8) for n in (3, 4, 6, 7)), (8, 9)],
    ),
    "crossed": (6, [(0, 1), (0, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 5), (4, 5), (0, 5)]),
    "late source": (9, [*((n, n + 1) for n in range(6)), (7, 5), (6, 8)]),
}


def draw(count: int, edges: Edges, fold_height: float = FOLD_HEIGHT) -> tuple[Placement, list[tuple[float, float]]]:
    sizes = [(40.0 + 37 * (node % 5), 19.0 if node % 3 else 30.0) for node in range(count)]
    pairs = np.array(sorted(set(edges)), dtype=np.int64).reshape(-1, 2)
    return place(pairs, sizes, fold_height=fold_height), sizes


def segments(route: list[Point]) -> list[tuple[Point, Point]]:
    return list(pairwise(route))


def runs_through(start: Point, end: Point, centre: Point, size: tuple[float, float]) -> bool:
    """Whether a straight piece touches the inside of a box."""
    return (
        min(start.x, end.x) < centre.x + size[0] / 2 - 0.1
        and max(start.x, end.x) > centre.x - size[0] / 2 + 0.1
        and min(start.y, end.y) < centre.y + size[1] / 2 - 0.1
        and max(start.y, end.y) > centre.y - size[1] / 2 + 0.1
    )


def coincide(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """Whether two axis-parallel pieces lie on one line and share more than a point."""
    for along, across in ((0, 1), (1, 0)):
        values = {round(point[across], 3) for point in (*first, *second)}
        low = max(min(p[along] for p in piece) for piece in (first, second))
        high = min(max(p[along] for p in piece) for piece in (first, second))
        if len(values) == 1 and high - low > 0.1:
            return True
    return False


def check(count: int, edges: Edges, fold_height: float = FOLD_HEIGHT) -> None:
    """All that must hold of any drawing, checked pair by pair."""
    edges = sorted(set(edges))
    placement, sizes = draw(count, edges, fold_height)
    boxes = list(zip(placement.centres, sizes, strict=True))
    for (a, (wa, ha)), (b, (wb, hb)) in combinations(boxes, 2):
        assert abs(a.x - b.x) >= (wa + wb) / 2 or abs(a.y - b.y) >= (ha + hb) / 2, "boxes overlap"
    assert len(placement.routes) == len(edges)
    for (producer, consumer), route in zip(edges, placement.routes, strict=True):
        start, end = placement.centres[producer], placement.centres[consumer]
        assert route[0] == pytest.approx((start.x, start.y + sizes[producer][1] / 2))
        assert route[-1].y == pytest.approx(end.y - sizes[consumer][1] / 2)
        assert abs(route[-1].x - end.x) <= PORT
        assert route[-1].y > route[-2].y, "an edge enters its consumer from above"
        for a, b in segments(route):
            assert (a.x == b.x) != (a.y == b.y), "neither horizontal nor vertical"
            assert not any(runs_through(a, b, centre, size) for centre, size in boxes), "an edge runs through a box"
            assert 0 <= b.x <= placement.width
            assert 0 <= b.y <= placement.height
    for (first, route), (second, other) in combinations(zip(edges, placement.routes, strict=True), 2):
        if first[0] != second[0] and first[1] != second[1]:
            for piece in segments(route):
                assert not any(coincide(piece, another) for another in segments(other)), f"{first} lies on {second}"


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "folded dense"])
def test_nothing_overlaps(name: str) -> None:
    check(*GRAPHS[name])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_overlaps_in_random_graphs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 26))
    pairs = list(combinations(range(count), 2))
    edges = data.draw(st.lists(st.sampled_from(pairs), max_size=60)) if pairs else []
    backbone = chain(count) if data.draw(st.booleans()) else []
    # Every node but the first few hangs on an earlier one, so that long graphs occur and fold.
    tree = [(max(0, node - data.draw(st.integers(1, 3))), node) for node in range(1, count)]
    check(count, [*edges, *backbone, *tree], data.draw(st.sampled_from([100.0, 400.0, FOLD_HEIGHT])))


def test_what_is_long_is_folded() -> None:
    tall, _ = draw(12, chain(12))
    assert len({centre.x for centre in tall.centres}) == 1
    folded, _ = draw(170, residual(170))
    assert 0.7 < folded.width / folded.height < 3
    assert folded.height < 2 * FOLD_HEIGHT
    columns = sorted({centre.x for centre in folded.centres})
    assert len(columns) >= 4


def test_a_cut_prefers_a_single_line() -> None:
    """Residual blocks are folded between, not inside, blocks: each column begins with a block's first node."""
    placement, _ = draw(161, residual(161))
    first_of_column: dict[float, int] = {}
    for node, centre in enumerate(placement.centres):
        first_of_column.setdefault(centre.x, node)
    assert all(node % 4 == 0 for node in first_of_column.values()), first_of_column


def test_a_source_stands_just_above_what_it_feeds() -> None:
    placement, _ = draw(*GRAPHS["late source"])
    assert placement.centres[7].y == placement.centres[4].y


def test_a_producer_with_many_consumers_has_one_line() -> None:
    """Distinct vertical lines of a dense graph grow with its nodes, not with its edges."""
    placement, _ = draw(12, dense(12))
    verticals = {a.x for route in placement.routes for a, b in segments(route) if a.x == b.x}
    assert len(verticals) <= 12 + 2


def test_blocks_stay_in_one_column() -> None:
    pairs, sizes = np.array(chain(60)), [(60.0, 19.0)] * 60
    blocks = [range(start, start + 7) for start in range(3, 52, 7)]

    def divided(placement: Placement) -> int:
        return sum(len({placement.centres[node].x for node in block}) > 1 for block in blocks)

    assert divided(place(pairs, sizes)) > 0
    assert divided(place(pairs, sizes, blocks=blocks)) == 0
    assert len({centre.x for centre in place(pairs, sizes, blocks=blocks).centres}) > 1
