"""Contraction, pruning, and which layers are the head."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph.reasons import ReasonCode
from ghn.graph.trace import trace
from tests.graph.graphs import IMAGE, Lambda, chain, conv, edges


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


def test_only_what_reaches_the_output_remains() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        self.b(self.a(x))
        return self.c(x)

    layers = {name: nn.Linear(4, 4, bias=False) for name in "abc"}
    graph = trace(Lambda(forward, **layers), torch.zeros(2, 4))
    assert edges(graph) == {("input", "c.weight")}
    assert {name: reason.code for name, reason in graph.kept.items()} == dict.fromkeys(
        ("a.weight", "b.weight"), ReasonCode.UNUSED
    )


def test_output_that_no_layer_reaches() -> None:
    graph = trace(Lambda(lambda self, x: x.relu(), a=nn.Linear(4, 4)), torch.zeros(2, 4))
    assert (len(graph), len(graph.edges), list(graph.parameters)) == (1, 0, [])
    assert graph.has_unused


def test_further_outputs_are_used_but_are_no_heads() -> None:
    model = Lambda(lambda self, x: [self.a(x), self.b(x)], a=nn.Linear(4, 3), b=nn.Linear(4, 3))
    graph = trace(model, torch.zeros(2, 4))
    assert len(graph.parameters) == 4
    assert {name for name, spec in graph.parameters.items() if spec.head} == {"a.weight", "a.bias"}


@pytest.mark.parametrize(
    ("after", "is_head"),
    [
        (lambda y: y, True),
        (lambda y: y.log_softmax(-1), True),
        (lambda y: y.unsqueeze(1).flatten(1) / 3, True),
        (lambda y: y.relu(), False),
        (lambda y: y.sigmoid(), False),
    ],
)
def test_what_may_follow_a_head(after, is_head: bool) -> None:
    graph = trace(Lambda(lambda self, x: after(self.a(x)), a=nn.Linear(4, 3)), torch.zeros(2, 4))
    assert [spec.head for spec in graph.parameters.values()] == [is_head] * 2


@pytest.mark.parametrize(("kernel", "pooled_first"), [(1, True), (3, False)])
def test_only_a_pointwise_head_changes_places_with_the_pool(kernel: int, pooled_first: bool) -> None:
    model = nn.Sequential(conv(3, 8), conv(8, 5, kernel), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    graph = trace(model, IMAGE)
    assert chain(graph) == ["input", "conv", *(("glob_avg", "conv") if pooled_first else ("conv", "glob_avg"))]
    assert graph.parameters["1.weight"].head == pooled_first


def test_heads_of_different_classes_are_none() -> None:
    model = Lambda(lambda self, x: torch.cat([self.a(x), self.b(x)], 1), a=nn.Linear(4, 3), b=nn.Linear(4, 2))
    assert not any(spec.head for spec in trace(model, torch.zeros(2, 4)).parameters.values())
    same = Lambda(lambda self, x: torch.cat([self.a(x), self.b(x)], 1), a=nn.Linear(4, 3), b=nn.Linear(4, 3))
    assert all(spec.head for spec in trace(same, torch.zeros(2, 4)).parameters.values())
