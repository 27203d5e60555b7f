"""Graphs of models that cannot be run: modules in the order of their definition."""

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.trace import trace
from tests.graph.graphs import chain

IMAGE = torch.zeros(2, 3, 16, 16)


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
