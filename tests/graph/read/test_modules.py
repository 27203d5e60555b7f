"""Graphs of models that cannot be run: modules in the order of their definition."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.read.modules import graph_of_modules
from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.trace import trace
from tests.graph.graphs import IMAGE, chain


@pytest.mark.parametrize("model", [nn.ModuleList([nn.Linear(2, 2)]), nn.ModuleDict({"0": nn.Linear(2, 2)})])
def test_without_a_forward_the_order_of_modules_counts(model: nn.Module) -> None:
    graph = trace(model)
    assert graph.traced_by == "modules"
    assert chain(graph) == ["input", "conv", "bias"]


def test_arguments_that_cannot_be_guessed() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
            self.gain = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor, *, size: int) -> Tensor:
            return self.norm(self.conv(x)) * size

    graph = trace(Model())
    assert graph.traced_by == "modules"
    assert chain(graph) == ["input", "conv", "bias", "bn"]
    assert graph.kept == {"gain": Reason(ReasonCode.NOT_RUN)}
    assert trace(Model(), ((IMAGE,), {"size": 3})).traced_by == "meta"


def test_kinds_by_shape_and_statistics() -> None:
    model = nn.ModuleList(
        [nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LayerNorm(4), nn.Conv1d(4, 2, 3, bias=False), nn.Embedding(5, 4)]
    )
    graph = graph_of_modules(model)
    assert chain(graph) == ["input", "conv", "bias", "bn", "ln", "conv"]
    assert [node.shape for node in graph.nodes] == [None, (4, 3), (4,), (4,), (4,), (2, 4, 3)]
    assert graph.nodes[3].parameters == ("1.weight", "1.bias")
    assert {name: spec.role for name, spec in graph.parameters.items()} == {
        "0.weight": Role.WEIGHT,
        "0.bias": Role.BIAS,
        "1.weight": Role.NORM_WEIGHT,
        "1.bias": Role.NORM_BIAS,
        "2.weight": Role.NORM_WEIGHT,
        "2.bias": Role.NORM_BIAS,
        "3.weight": Role.WEIGHT,
    }
    assert {name: reason.code for name, reason in graph.kept.items()} == {"4.weight": ReasonCode.NOT_RUN}


def test_awkward_parameters_are_kept() -> None:
    model = nn.ParameterDict(
        {
            "scalar": nn.Parameter(torch.zeros(())),
            "counts": nn.Parameter(torch.zeros(3, 3, dtype=torch.long), requires_grad=False),
        }
    )
    layer: Any = nn.Module()
    layer.weight = nn.Parameter(torch.zeros(2, 2, dtype=torch.long), requires_grad=False)
    layer.bias = nn.Parameter(torch.zeros(2, 2))
    other: Any = nn.Module()
    other.weight, other.bias = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2, 2))
    graph = graph_of_modules(nn.ModuleList([model, layer, other]))
    assert list(graph.parameters) == ["2.weight"]
    assert list(graph.kept) == ["0.counts", "0.scalar", "1.weight", "1.bias", "2.bias"]
    assert not graph.has_unused


def test_tied_parameters_belong_to_the_first() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    graph = graph_of_modules(nn.ModuleList([first, second, first]))
    assert list(graph.parameters) == ["0.weight", "0.bias"]
    assert list(graph.kept) == ["1.bias"], "a bias without a weight of its own says nothing"


def test_parameters_of_the_model_itself_have_no_prefix() -> None:
    graph = graph_of_modules(nn.Linear(2, 3))
    assert [node.parameters for node in graph.nodes] == [(), ("weight",), ("bias",)]


def test_model_without_parameters() -> None:
    graph = graph_of_modules(nn.Identity())
    assert (len(graph), len(graph.edges)) == (1, 0)
