"""The graph's own invariants."""

import numpy as np
import pytest

from ghn.graph import ComputationalGraph, Node, ParameterSpec, Role

INPUT = Node("input")


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ((), [], "first node"),
        ((Node("conv"),), [], "first node"),
        ((INPUT, Node("conv")), [(1, 0)], "topological"),
        ((INPUT, Node("conv")), [(1, 1)], "topological"),
        ((INPUT, Node("conv")), [(0, 2)], "index"),
    ],
)
def test_refuses(nodes: tuple, edges: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ComputationalGraph(nodes, np.array(edges, dtype=np.int64).reshape(-1, 2))


def test_unknown_primitive() -> None:
    with pytest.raises(ValueError, match="unknown primitive 'convolution'; the vocabulary is max_pool"):
        Node("convolution")


def test_is_immutable_and_drops_double_edges() -> None:
    graph = ComputationalGraph((INPUT, Node("conv")), np.array([(0, 1), (0, 1)]))
    assert graph.edges.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="read-only"):
        graph.edges[0, 0] = 1
    with pytest.raises(TypeError):
        graph.kept["a"] = "b"  # type: ignore[index]
    assert ComputationalGraph((INPUT,), np.zeros((0, 2), dtype=np.int64)).distances.tolist() == [[0]]


def test_canonical_shape() -> None:
    spec = ParameterSpec(name="w", node=1, shape=(3, 5, 7), role=Role.WEIGHT, axes=(1, 0, 2))
    assert spec.canonical_shape == (5, 3, 7)
    assert ParameterSpec(name="w", node=1, shape=(3, 5), role=Role.WEIGHT).axes == (0, 1)
