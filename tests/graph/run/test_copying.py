"""Copies of models without their numbers."""

import collections
import threading

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.trace import trace


def test_attributes_that_cannot_be_copied() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.lock = threading.Lock()
            self.features: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            with self.lock:
                self.features.append(self.a(x))
            return self.features[-1]

    model = Keeping()
    model(torch.zeros(2, 4))
    kept = model.features[0]
    trace(model, torch.zeros(2, 4))
    assert model.features == [kept]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_weight_norm_of_old() -> None:
    graph = trace(nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4))), torch.zeros(2, 4))
    assert set(graph.parameters) == {"0.bias", "0.weight_v"}


X = torch.zeros(4, 8)


def ops(model: nn.Module, inputs: Tensor = X) -> list[str]:
    return [node.op for node in trace(model, inputs).nodes]


def test_an_empty_defaultdict_keeps_its_factory() -> None:
    class Logging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(8, 10)
            self.log: dict[str, list[torch.Size]] = collections.defaultdict(list)

        def forward(self, x: Tensor) -> Tensor:
            self.log["shapes"].append(x.shape)
            return self.a(x)

    model = Logging()
    assert ops(model) == ["input", "conv", "bias"]
    assert not model.log
