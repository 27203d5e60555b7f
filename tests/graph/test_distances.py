"""Shortest paths against networkx."""

import networkx as nx
import numpy as np
import pytest

from ghn.graph.distances import shortest_paths


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("size", [1, 2, 30])
def test_equals_breadth_first_search(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.random((size, size)) < 0.1, 1)
    edges = np.argwhere(upper)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from(edges.tolist())
    expected = np.zeros((size, size), dtype=int)
    for source, lengths in nx.all_pairs_shortest_path_length(graph):
        for target, length in lengths.items():
            expected[source, target] = length
    assert (shortest_paths(size, edges) == expected).all()


@pytest.mark.parametrize(("longest", "dtype"), [(50, np.int8), (125, np.int8), (126, np.int16), (255, np.int16)])
def test_lengths_have_room_in_their_type(longest: int, dtype: type) -> None:
    edges = np.array([(i, i + 1) for i in range(300)])[::-1]
    distances = shortest_paths(301, edges, max_distance=longest)
    assert distances.dtype == dtype
    assert distances[0].tolist() == [i if i <= longest else 0 for i in range(301)]


def test_longer_than_fifty_counts_as_none() -> None:
    edges = np.array([(i, i + 1) for i in range(60)])
    distances = shortest_paths(61, edges)
    assert distances[0, 50] == 50
    assert distances[0, 51] == 0
    assert distances[50, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        distances[0, 0] = 1
