"""Contraction, pruning, and which layers are the head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, chain

IMAGE = torch.zeros(2, 3, 16, 16)


def conv(inputs: int = 3, outputs: int = 3, kernel: int = 3, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding="same", **{"bias": False, **options})


def test_residual_of_one_path_is_no_sum() -> None:
    graph = trace(Lambda(lambda self, x: self.a(x) + F.relu(self.a(x)), a=conv()), IMAGE)
    # A reused module is a node each time it runs; its parameter belongs to the first.
    assert [node.op for node in graph.nodes] == ["input", "conv", "conv", "sum"]
    assert [node.parameters for node in graph.nodes[1:3]] == [("a.weight",), ()]
    single = trace(Lambda(lambda self, x: (y := self.a(x)) + F.relu(y), a=conv()), IMAGE)
    assert chain(single) == ["input", "conv"]


def test_reused_module_whose_first_result_is_not_used() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        self.enc(x).norm()
        return self.head(self.enc(x).relu())

    graph = trace(Lambda(forward, enc=nn.Linear(4, 4), head=nn.Linear(4, 2)), torch.zeros(2, 4))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
    assert len(graph.parameters) == 4


def test_pooled_head_convolution() -> None:
    model = nn.Sequential(
        conv(3, 8), nn.ReLU(), conv(8, 5, 1, bias=True), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    graph = trace(model, IMAGE)
    assert chain(graph) == ["input", "conv", "glob_avg", "conv", "bias"]
    assert graph.parameters["2.weight"].head
    assert graph.parameters["2.bias"].head


def test_averaged_heads() -> None:
    model = Lambda(lambda self, x: (self.a(x) + self.b(x)) / 2, a=nn.Linear(4, 3), b=nn.Linear(4, 3))
    graph = trace(model, torch.zeros(2, 4))
    assert {name for name, spec in graph.parameters.items() if spec.head} == set(graph.parameters)


def test_residual_branches_are_no_heads() -> None:
    model = Lambda(lambda self, x: (y := self.e(x)) + self.b(y), e=nn.Linear(4, 4), b=nn.Linear(4, 4))
    graph = trace(model, torch.zeros(2, 4))
    assert not any(spec.head for spec in graph.parameters.values())
    both = Lambda(
        lambda self, x: torch.cat([self.a(x).relu(), self.b(x).relu()], 1), a=nn.Linear(4, 3), b=nn.Linear(4, 3)
    )
    assert not any(spec.head for spec in trace(both, torch.zeros(2, 4)).parameters.values())
