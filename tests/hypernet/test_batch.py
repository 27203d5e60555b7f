"""Batches of graphs."""

import pickle

import numpy as np
import pytest
import torch

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.hypernet import GraphBatch
from ghn.hypernet.batch import level_slots, node_depths, node_shapes
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.graphs import awkward_graph, random_graph


def one_node(op: str, shape: tuple[int, ...] | None, spec: ParameterSpec | None = None) -> ComputationalGraph:
    parameters = {} if spec is None else {spec.name: spec}
    nodes = (Node("input"), Node(op, tuple(parameters), shape))
    return ComputationalGraph(nodes, np.array([[0, 1]]), parameters)


@pytest.mark.parametrize(
    ("op", "shape", "expected"),
    [
        ("sum", None, (0, 0, 0, 0)),
        ("bn", (64,), (64, 1, 1, 1)),
        ("conv", (1000, 512), (1000, 512, 1, 1)),
        ("conv", (64, 3, 7, 5), (64, 3, 7, 5)),
        ("conv", (64, 3, 9), (64, 3, 9, 1)),
        ("conv", (1, 16, 9), (1, 16, 9, 1)),
        ("conv", (64, 3, 2, 7, 5), (64, 3, 7, 5)),
        ("max_pool", (1, 1, 3, 3), (1, 1, 3, 3)),
        ("pos_enc", (1, 197, 768), (1, 768, 14, 14)),
        ("pos_enc", (197, 768), (1, 768, 14, 14)),
        ("pos_enc", (1, 1, 768), (1, 1, 768, 1)),
        ("pos_enc", (1, 768, 14, 10), (1, 768, 14, 10)),
        ("pos_enc", (768, 14, 10), (768, 14, 10, 1)),
    ],
)
def test_shapes_have_four_axes(op: str, shape: tuple[int, ...] | None, expected: tuple[int, int, int, int]) -> None:
    graph = one_node(op, shape)
    assert node_shapes(graph)[1].tolist() == list(expected)


@pytest.mark.parametrize("shape", [(4, 3, 20, 30), (240, 30)])
def test_stack_axes_count_as_outputs(shape: tuple[int, ...]) -> None:
    # Whether or not the node's shape was merged before.
    spec = ParameterSpec(name="weight", node=1, shape=(4, 3, 20, 30), role=Role.WEIGHT, stack=2)
    assert node_shapes(one_node("conv", shape, spec))[1].tolist() == [240, 30, 1, 1]


@pytest.mark.parametrize("seed", range(3))
def test_depth_is_the_longest_path(seed: int) -> None:
    graph = random_graph(seed, 30, density=0.05)
    expected: list[int] = []
    for before in graph.predecessors():
        expected.append(max((expected[node] + 1 for node in before), default=0))
    assert node_depths(graph).tolist() == expected


def test_levels_are_the_same_slots_in_every_graph() -> None:
    depths = [np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2, 2, 0])]
    slots, widths = level_slots(depths)
    assert widths == (2, 2, 3)
    assert slots[0].tolist() == [0, 2, 3, 4]
    assert slots[1].tolist() == [7 + place for place in (0, 2, 4, 5, 6, 1)]


def test_graphs_stand_side_by_side() -> None:
    graphs = [random_graph(0, 7), random_graph(1, 1), random_graph(2, 12)]
    batch = GraphBatch.from_graphs(graphs)
    assert batch.sizes == (7, 1, 12)
    for graph, distances in zip(graphs, batch.distance_matrices(), strict=True):
        assert np.array_equal(distances.numpy(), graph.distances)
    assert batch.primitives.tolist() == [index for graph in graphs for index in graph.primitives]
    in_degrees = [
        sum(consumer == node for _, consumer in graph.edges) for graph in graphs for node in range(len(graph))
    ]
    out_degrees = [sum(source == node for source, _ in graph.edges) for graph in graphs for node in range(len(graph))]
    assert batch.in_degrees.tolist() == in_degrees
    assert batch.out_degrees.tolist() == out_degrees


def test_goes_through_pickle_and_to_devices() -> None:
    batch = GraphBatch.from_graphs([awkward_graph(), random_graph(0, 5)])
    copied = pickle.loads(pickle.dumps(batch))
    assert copied.parameters == batch.parameters
    assert torch.equal(copied.distances, batch.distances)
    moved = batch.to("meta")
    assert moved.slots.is_meta
    assert moved.sizes == batch.sizes
    assert not batch.slots.is_meta


def test_no_graphs() -> None:
    with pytest.raises(ValueError, match="at least one graph"):
        GraphBatch.from_graphs([])


def test_distances_are_left_out_where_nobody_reads_them() -> None:
    graph = random_graph(0, 30)
    batch = GraphBatch.from_graphs([graph], with_distances=False)
    assert batch.distances.numel() == 0
    small_hypernet(encoder="mlp")(graph)
    assert "distances" not in vars(graph)
    small_hypernet(encoder="gated_gnn")(graph)
    assert "distances" in vars(graph)
