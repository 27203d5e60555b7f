import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from ghn.deepnets import SPLITS, DeepNets, Genotype, NetworkArguments, graph_from_arguments
from ghn.deepnets.direct_graph import node_cells
from ghn.graph import ComputationalGraph
from ghn.hypernet.config import GHNConfig
from ghn.hypernet.ghn import GHN
from tests.deepnets.architectures import CONFIGURATIONS, cells, golden, wild
from tests.deepnets.architectures import SPLITS as RELEASED_SPLITS
from tests.deepnets.comparison import assert_same, traced
from tests.graph.graphs import edges, isomorphic, labelled, named


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("split", RELEASED_SPLITS)
def test_graph_is_the_released_one(split: str, configuration: str, reference: Path) -> None:
    for entry in golden(reference, configuration)["splits"][split]:
        graph = graph_from_arguments(entry["net_args"], *CONFIGURATIONS[configuration])
        labels = (f"{op}:{name}" if name.endswith(("weight", "bias")) else op for op, name in entry["nodes"])
        assert isomorphic(named(graph), labelled(labels, entry["edges"]))
        assert set(graph.kept) == set(entry["unreachable"])


@pytest.fixture
def published_state(reference: Path) -> Iterator[Any]:
    sys.path.insert(0, str(reference / "golden"))
    from published_state import published_state

    yield published_state
    sys.path.pop(0)


def matched(predicted: Mapping[str, torch.Tensor], expected: list[Any]) -> Iterator[tuple[tuple[float, float], Any]]:
    """Norm and mean of each predicted tensor with the released ones of a tensor of its shape, closest to closest."""
    shapes = {tuple(shape) for shape, _, _ in expected} | {tuple(tensor.shape) for tensor in predicted.values()}
    for shape in shapes:
        released = np.array([numbers for own, *numbers in expected if tuple(own) == shape])
        tensors = [tensor.double() for tensor in predicted.values() if tensor.shape == shape]
        ours = np.array([(tensor.norm(), tensor.mean()) for tensor in tensors])
        assert len(ours) == len(released)
        scale = np.array([1, np.prod(shape) ** 0.5])
        costs = np.abs((ours[:, None] - released[None]) * scale).sum(axis=2)
        for row, column in zip(*linear_sum_assignment(costs), strict=True):
            yield tuple(ours[row]), released[column]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_predictions_are_the_released_ones(configuration: str, reference: Path, published_state: Any) -> None:
    num_classes, image_size = CONFIGURATIONS[configuration]
    data = golden(reference, configuration)
    hypernet = GHN(GHNConfig.preset("ghn3-t", num_classes=num_classes))
    state = published_state(data["state_dict_shapes"])
    hypernet.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    for entries in data["splits"].values():
        for entry in entries:
            with torch.no_grad():
                (predicted,) = hypernet(graph_from_arguments(entry["net_args"], num_classes, image_size))
            for ours, released in matched(predicted, entry["params"]):
                assert ours[0] == pytest.approx(released[0], rel=1e-4)
                assert ours[1] == pytest.approx(released[1], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("split", [name for name in SPLITS if name != "search"])
def test_equals_tracing(split: str) -> None:
    deepnets = DeepNets(split)
    for index in range(2):
        arguments = deepnets.arguments(index)
        assert_same(deepnets.graph(arguments), traced(arguments))


@pytest.mark.parametrize("seed", [*range(30), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(30, 100))])
def test_equals_tracing_where_much_is_missing(seed: int) -> None:
    arguments, image_size = wild(seed), (32, 224)[seed % 2]
    assert_same(graph_from_arguments(arguments, 7, image_size), traced(arguments, 7, image_size))


@pytest.mark.slow
@pytest.mark.parametrize("split", [name for name in SPLITS if name not in ("wide", "search")])
def test_equals_tracing_thousands_of_times(split: str) -> None:
    deepnets = DeepNets(split)
    for index in range(min(500, len(deepnets))):
        arguments = deepnets.arguments(index)
        assert_same(deepnets.graph(arguments), traced(arguments))


@pytest.mark.slow
def test_equals_tracing_thousands_of_times_where_much_is_missing() -> None:
    for seed in range(1000, 2500):
        arguments = wild(seed)
        assert_same(graph_from_arguments(arguments), traced(arguments))


def around(graph: ComputationalGraph, op: str) -> tuple[list[set[str]], list[set[str]]]:
    """What feeds each node of a primitive, and what it feeds, by first parameter or primitive."""
    names = [node.parameters[0] if node.parameters else node.op for node in graph.nodes]
    before: list[set[str]] = []
    after: list[set[str]] = []
    for index, node in enumerate(graph.nodes):
        if node.op == op:
            before.append({names[a] for a, b in graph.edges.tolist() if b == index})
            after.append({names[b] for a, b in graph.edges.tolist() if a == index})
    return before, after


@pytest.mark.parametrize("build", [graph_from_arguments, traced])
@pytest.mark.parametrize("operation", ["conv_3x3", "max_pool_3x3", "skip_connect"])
@pytest.mark.parametrize("norm", ["bnorm", None])
def test_gate(build: Any, operation: str, norm: str | None) -> None:
    """A gate is a node fed by the features and by what gates them; its squeeze is none."""
    graph = build(cells(("cse", 1), (operation, 0), C=8, norm=norm, n_cells=1))
    ops = Counter(node.op for node in graph.nodes)
    assert (ops["cse"], ops["glob_avg"]) == (1, 1)
    features = "cells.0.preprocess1.op.2.weight" if norm else "cells.0.preprocess1.op.1.weight"
    first, second = "cells.0._ops.0.fc1", "cells.0._ops.0.fc2"
    assert {
        (features, f"{first}.weight"),
        (f"{first}.weight", f"{first}.bias"),
        (f"{first}.bias", f"{second}.weight"),
        (f"{second}.weight", f"{second}.bias"),
        (f"{second}.bias", "cse"),
        (features, "cse"),
        ("cse", "sum"),
        ("sum", "glob_avg"),
    } <= edges(graph)
    assert around(graph, "cse") == ([{features, f"{second}.bias"}], [{"sum"}])
    node = graph.nodes[graph.parameters[f"{first}.weight"].node]
    assert (node.op, node.shape) == ("conv", (4, 8))


@pytest.mark.parametrize("build", [graph_from_arguments, traced])
def test_gate_after_gate(build: Any) -> None:
    graph = build(cells(("cse", 1), ("none", 0), ("cse", 2), ("none", 0), C=8, n_cells=1, concat=(3,)))
    before, after = around(graph, "cse")
    assert before == [
        {"cells.0.preprocess1.op.2.weight", "cells.0._ops.0.fc2.bias"},
        {"cse", "cells.0._ops.2.fc2.bias"},
    ]
    assert after == [{"cse", "cells.0._ops.2.fc1.weight"}, {"glob_avg"}]


@pytest.mark.parametrize("build", [graph_from_arguments, traced])
def test_gate_of_a_transformer(build: Any) -> None:
    """Without preprocessing the gate reads the sum that the position embedding is part of."""
    graph = build(cells(("cse", 1), ("msa", 0), C=8, preproc=False, n_cells=1))
    before, _ = around(graph, "cse")
    assert before == [{"sum", "cells.0._ops.0.fc2.bias"}]
    assert Counter(node.op for node in graph.nodes)["glob_avg"] == 1


NORMAL_CELLS: dict[str, tuple[tuple[tuple[str, int], ...], dict[str, int]]] = {
    "added to itself": ((("skip_connect", 1), ("none", 0), ("skip_connect", 2), ("skip_connect", 1)), {}),
    "concatenated with zeros": ((("none", 1), ("none", 0), ("conv_3x3", 1), ("none", 0)), {}),
    "added to nothing": ((("conv_3x3", 1), ("none", 0), ("conv_3x3", 2), ("none", 0)), {"concat": 1}),
    "added to another": ((("skip_connect", 1), ("skip_connect", 0)), {"sum": 1}),
    "both": ((("conv_3x3", 1), ("skip_connect", 0), ("max_pool_3x3", 2), ("none", 0)), {"sum": 1, "concat": 1}),
}


@pytest.mark.parametrize("build", [graph_from_arguments, traced])
@pytest.mark.parametrize("case", NORMAL_CELLS)
def test_sums_and_concatenations_join_different_paths(case: str, build: Any) -> None:
    normal, expected = NORMAL_CELLS[case]
    genotype = Genotype(
        normal=normal,
        normal_concat=tuple(range(2, len(normal) // 2 + 2)),
        reduce=(("conv_3x3", 1), ("none", 0)),
        reduce_concat=(2,),
    )
    # The first of three cells is a normal one.
    ops = Counter(node.op for node in build(NetworkArguments(genotype=genotype, n_cells=3, C=8)).nodes)
    assert {op: ops[op] for op in ("sum", "concat") if ops[op]} == expected


def test_cells_of_nodes() -> None:
    arguments = cells(("conv_3x3", 1), ("max_pool_3x3", 0), C=8, n_cells=3)
    graph, numbers = graph_from_arguments(arguments), node_cells(arguments)
    assert len(numbers) == len(graph)
    for node, number in zip(graph.nodes, numbers, strict=True):
        name = node.parameters[0] if node.parameters else node.op
        if name.startswith("cells."):
            assert number == int(name.split(".")[1])
        elif name.startswith("stem") or name == "input":
            assert number == 0
        elif name.startswith("classifier") or name == "glob_avg":
            assert number == 2
    pools = [number for node, number in zip(graph.nodes, numbers, strict=True) if node.op == "max_pool"]
    assert pools == [0, 1, 2]


def test_output_that_ignores_its_input_is_refused() -> None:
    with pytest.raises(ValueError, match="cut the output off from the input"):
        graph_from_arguments(cells(("none", 1), ("none", 0)))
