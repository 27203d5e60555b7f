"""Rows and tracks: where nodes stand before there are pixels."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn.draw.tracks import UNIT, Track, Tracks

Edges = list[tuple[int, int]]
RESIDUAL: Edges = [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)]


def tracks_of(count: int, edges: Edges, width: float = 20.0) -> Tracks:
    return Tracks(np.array(edges, dtype=np.int64).reshape(-1, 2), [(width, 20.0)] * count)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges]:
    count = draw(st.integers(1, 12))
    pairs = list(combinations(range(count), 2))
    return count, sorted(draw(st.sets(st.sampled_from(pairs))) if pairs else [])


def longest_path(node: int, edges: Edges) -> int:
    return max((longest_path(producer, edges) + 1 for producer, consumer in edges if consumer == node), default=0)


def test_rows_follow_the_longest_path() -> None:
    assert tracks_of(5, RESIDUAL).row == [0, 1, 2, 3, 4]
    assert tracks_of(4, [(0, 1), (0, 2), (1, 3), (2, 3)]).row == [0, 1, 1, 2]
    assert tracks_of(1, []).row == [0]


def test_a_late_source_stands_just_above_what_it_feeds() -> None:
    assert tracks_of(5, [(0, 1), (1, 2), (2, 3), (4, 3)]).row == [0, 1, 2, 3, 2]


def test_a_chain_is_one_track_and_what_skips_rows_gets_a_lane() -> None:
    tracks = tracks_of(5, RESIDUAL)
    (chain,) = tracks.chains
    assert chain.nodes == [0, 1, 2, 3, 4]
    assert (chain.first, chain.last) == (0, 4)
    assert {node: (lane.first, lane.last) for node, lane in tracks.lanes.items()} == {0: (1, 2)}
    assert tracks.trunk(0, 1) is chain
    assert tracks.trunk(0, 3) is tracks.lanes[0]
    assert tracks.lanes[0].slot != chain.slot


def test_many_consumers_share_a_lane() -> None:
    tracks = tracks_of(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 3), (0, 4), (0, 5)])
    assert {node: (lane.first, lane.last) for node, lane in tracks.lanes.items()} == {0: (1, 4)}


def test_where_nothing_follows_the_own_track_goes_on() -> None:
    """Node 1 feeds node 4 only, two rows below, where a longer chain arrives."""
    tracks = tracks_of(5, [(0, 1), (0, 2), (2, 3), (3, 4), (1, 4)])
    assert tracks.lanes == {}
    assert tracks.chain_of[1] is not tracks.chain_of[4]
    assert tracks.chain_of[1].last == 2


@pytest.mark.parametrize(("width", "half"), [(1.0, 1), (2 * UNIT - 8, 1), (2 * UNIT - 7, 2), (10 * UNIT, 6)])
def test_a_track_is_as_wide_as_its_widest_node(width: float, half: int) -> None:
    assert tracks_of(2, [(0, 1)], width).chains[0].half == half


def test_wires_count_the_lines_that_enter_a_row() -> None:
    tracks = tracks_of(5, RESIDUAL)
    chain, lane = tracks.chains[0].slot, tracks.lanes[0].slot
    both = sorted([chain, lane])
    assert tracks.wires == [both, both, [chain], [chain], []]


@settings(max_examples=100, deadline=None)
@given(graph=graphs())
def test_whatever_the_graph(graph: tuple[int, Edges]) -> None:
    count, edges = graph
    tracks = tracks_of(count, edges)
    assert all(tracks.row[producer] < tracks.row[consumer] for producer, consumer in edges)
    fed = {consumer for _, consumer in edges}
    assert all(tracks.row[node] == longest_path(node, edges) for node in fed | {0})
    assert sorted(node for track in tracks.chains for node in track.nodes) == list(range(count))
    for first, second in combinations(tracks.all, 2):
        assert not overlap(first, second)
    for producer, consumer in edges:
        trunk = tracks.trunk(producer, consumer)
        assert trunk is tracks.chain_of[consumer] or trunk.first - 1 <= tracks.row[producer] <= trunk.last
        assert trunk.last >= tracks.row[consumer] - 1


def overlap(first: Track, second: Track) -> bool:
    """Whether two tracks take the same slot in the same row."""
    rows = first.first <= second.last and second.first <= first.last
    return rows and abs(first.slot - second.slot) <= first.half + second.half
