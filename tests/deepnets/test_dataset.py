import dataclasses
import pickle
from typing import Any

import pytest
import torch

from ghn.deepnets import SPLITS, DeepNets
from ghn.deepnets.network import network_from_arguments


@pytest.mark.parametrize("image_size", [32, 224])
@pytest.mark.parametrize("split", SPLITS)
def test_items(split: str, image_size: int) -> None:
    deepnets = DeepNets(split, image_size, 7)
    assert len(deepnets) == SPLITS[split].size
    network, graph, net_args = deepnets[3]
    named = dict(network.named_parameters())
    assert all(parameter.is_meta for parameter in named.values())
    assert set(graph.parameters) | set(graph.kept) == set(named)
    assert all(graph.parameters[name].shape == named[name].shape for name in graph.parameters)
    rebuilt = network_from_arguments(net_args, 7, image_size)
    assert {name: parameter.shape for name, parameter in rebuilt.named_parameters()} == {
        name: parameter.shape for name, parameter in named.items()
    }
    assert rebuilt(torch.randn(2, 3, image_size, image_size)).shape == (2, 7)


def test_widths_are_a_function_of_seed_index_and_draw() -> None:
    deepnets = DeepNets("train")
    found = [deepnets.arguments(index) for index in range(40)]
    assert found == [DeepNets("train").arguments(index) for index in range(40)]
    assert len({arguments.C for arguments in found}) > 3
    again = [deepnets.arguments(index, draw=1) for index in range(40)]
    assert [item.genotype for item in again] == [item.genotype for item in found]
    assert [item.C for item in again] != [item.C for item in found]


def test_numbers() -> None:
    deepnets = DeepNets("test", size=5)
    assert len(deepnets) == len(list(deepnets)) == 5
    assert deepnets[-1].net_args == deepnets[4].net_args
    for index in (5, -6):
        with pytest.raises(IndexError, match="has 5 architectures, there is none of number"):
            deepnets[index]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tests"}, "unknown split 'tests'"),
        ({"split": "test", "size": 501}, "size must be between 1 and 500 for test, not 501"),
        ({"split": "test", "size": 0}, "size must be between 1 and 500"),
    ],
)
def test_impossible_data_sets(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeepNets(**arguments)


def test_graphs_survive_the_journey() -> None:
    graph = DeepNets("test")[0].graph
    _ = graph.distances
    sent = pickle.loads(pickle.dumps(graph))
    assert (sent.nodes, sent.parameters, sent.kept, sent.traced_by) == (
        graph.nodes,
        graph.parameters,
        graph.kept,
        graph.traced_by,
    )
    assert (sent.distances == graph.distances).all()
    for array in (sent.edges, sent.distances):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        sent.kept["stem"] = "changed"


def test_own_rules() -> None:
    rules = dataclasses.replace(SPLITS["train"], cells=(4, 4), widest=32)
    arguments = [DeepNets(rules).arguments(index) for index in range(4)]
    assert {(item.n_cells, item.C) for item in arguments} == {(4, 32)}
