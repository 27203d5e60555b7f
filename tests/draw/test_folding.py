"""Repeated blocks: found where they are equal, and nowhere else."""

import numpy as np
import pytest
import torch

import ghn
from ghn.draw.folding import LEAST_SAVED, find_repeats, folded, unfolded
from ghn.graph import ComputationalGraph, Node
from tests.draw.graphs import GRAPHS


def graph_of(words: str, skips: list[tuple[int, int]] = []) -> ComputationalGraph:  # noqa: B006
    """A chain: letters are shapes of convolutions; with edges that skip some."""
    nodes = (Node("input"), *(Node("conv", (f"{i}.weight",), (ord(word), 3)) for i, word in enumerate(words)))
    edges = [(i, i + 1) for i in range(len(words))] + skips
    return ComputationalGraph(nodes, np.array(edges).reshape(-1, 2))


def found(graph: ComputationalGraph) -> list[tuple[int, int, int]]:
    return [(repeat.first, repeat.length, repeat.times) for repeat in find_repeats(graph)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", []),
        ("a", []),
        ("abcabc", []),
        ("abcabcabc", [(1, 3, 3)]),
        ("xabcabcabcy", [(2, 3, 3)]),
        ("aaaaaaaa", [(1, 1, 8)]),
        ("aaaaaa", []),
        ("abcdefabcdef", [(1, 6, 2)]),
        ("abcdefabcdeg", []),
        ("abcabcabcxyxyxyxy", [(1, 3, 3), (10, 2, 4)]),
    ],
)
def test_runs_of_equal_blocks(words: str, expected: list[tuple[int, int, int]]) -> None:
    assert found(graph_of(words)) == expected


def test_blocks_that_read_from_elsewhere_are_not_equal() -> None:
    skips = [(1, 3), (4, 6), (7, 9), (10, 12)]
    assert found(graph_of("abcabcabcabc", skips)) == [(1, 3, 4)]
    assert found(graph_of("abcabcabcabc", [*skips[:2], (6, 9), (10, 12)])) != [(1, 3, 4)]


def test_only_the_last_block_may_feed_what_comes_after() -> None:
    assert found(graph_of("abcabcabcabcz", [(11, 13)])) == [(1, 3, 4)]
    assert found(graph_of("abcabcabcabcz", [(8, 13)])) == [(1, 3, 3)]
    assert found(graph_of("abcabcabcabcz", [(2, 13)])) == [(3, 3, 3)]


def test_what_is_drawn_and_how_it_is_connected() -> None:
    # Residual blocks "bc": each sum reads the one before, two nodes back.
    graph = graph_of("abcbcbcbcbcz", [(1, 3), (3, 5), (5, 7), (7, 9), (9, 11)])
    shown = folded(graph)
    assert found(graph) == [(2, 2, 5)]
    assert shown.nodes == (0, 1, 2, 3, 12)
    assert shown.edges.tolist() == [[0, 1], [1, 2], [1, 3], [2, 3], [3, 4]]


@pytest.mark.parametrize("name", GRAPHS)
def test_every_node_is_drawn_or_stood_for(name: str) -> None:
    graph = GRAPHS[name]()
    shown = folded(graph)
    left_out = {node for repeat in shown.repeats for node in range(repeat.first + repeat.length, repeat.end)}
    assert set(shown.nodes) | left_out == set(range(len(graph)))
    assert not set(shown.nodes) & left_out
    assert (shown.edges[:, 0] < shown.edges[:, 1]).all()
    assert len(unfolded(graph).nodes) == len(graph)
    assert all(repeat.length * (repeat.times - 1) >= LEAST_SAVED for repeat in shown.repeats)


def test_every_copy_is_equal_to_the_first() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        graph = ghn.trace(models.efficientnet_v2_s())
    feeding = graph.predecessors()
    repeats = find_repeats(graph)
    assert len(folded(graph).nodes) < 0.4 * len(graph)
    for repeat in repeats:
        for node in range(repeat.first + repeat.length, repeat.end):
            before = node - repeat.length
            assert (graph.nodes[node].op, graph.nodes[node].shape) == (
                graph.nodes[before].op,
                graph.nodes[before].shape,
            )
            assert [node - producer for producer in feeding[node]] == [before - p for p in feeding[before]]


def test_blocks_of_resnet_are_its_modules() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        graph = ghn.trace(models.resnet101())
    for repeat in find_repeats(graph):
        assert graph.nodes[repeat.first].parameters[0].endswith("conv1.weight")
        assert graph.nodes[repeat.first + repeat.length - 1].op == "sum"
    assert sum(repeat.times for repeat in find_repeats(graph)) == 2 + 3 + 22 + 2
