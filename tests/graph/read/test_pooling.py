"""Averages over space and the channel gates that begin with one, whichever operators compute them."""

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, chain, edges, with_parameters

IMAGE = torch.zeros(2, 3, 6, 5)

POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1),
    "kernel of the whole map": lambda x: F.avg_pool2d(x, x.shape[2:]),
    "kernel of the whole line": lambda x: F.avg_pool1d(x.flatten(2), x.shape[2] * x.shape[3])[..., None],
    "kernel of the whole volume": lambda x: F.avg_pool3d(x[:, :, None], (1, *x.shape[2:]))[:, :, 0],
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "mean, negative axes": lambda x: x.mean((-1, -2))[:, :, None, None],
    "one axis, then the other": lambda x: x.mean(2).mean(2)[:, :, None, None],
    "the last axis, then the last": lambda x: x.mean(-1).mean(-1)[:, :, None, None],
    "both kept": lambda x: x.mean(2, keepdim=True).mean(3, keepdim=True),
    "both kept, the last first": lambda x: x.mean(3, keepdim=True).mean(2, keepdim=True),
    "the second kept": lambda x: x.mean(3).mean(2, keepdim=True)[..., None],
    "flattened": lambda x: x.flatten(2).mean(2)[:, :, None, None],
    "flattened, kept": lambda x: x.flatten(2).mean(-1, keepdim=True)[..., None],
    "sum": lambda x: x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3]),
    "sum of sums": lambda x: (x.sum(3).sum(2) / (x.shape[2] * x.shape[3]))[:, :, None, None],
    "sum, multiplied": lambda x: x.sum((2, 3), keepdim=True) * (1 / 30),
    "channels last": lambda x: x.permute(0, 2, 3, 1).mean((1, 2))[:, :, None, None],
    "channels last, a sum": lambda x: (x.permute(0, 2, 3, 1).sum((1, 2)) / 30)[:, :, None, None],
}

AMBIGUOUS = {"flattened, kept"}
"""Ways that normalisations of (batch, tokens, channels) take, too: no pooling unless a gate follows."""


@pytest.mark.parametrize("pool", POOLS)
def test_every_way_to_pool(pool: str) -> None:
    model = Lambda(lambda self, x: self.head(POOLS[pool](self.a(x)).flatten(1)), a=nn.Conv2d(3, 4, 1, bias=False))
    model.head = nn.Linear(4, 5)
    ops = ["input", "conv", *([] if pool in AMBIGUOUS else ["glob_avg"]), "conv", "bias"]
    assert chain(trace(model, IMAGE)) == ops


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("normalise", ["none", "rms", "layer", "length", "rms, channels last"])
@pytest.mark.parametrize("order", [1, -1])
def test_every_way_to_gate(pool: str, normalise: str, order: int) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        x = self.a(x)
        y = POOLS[pool](x)
        if normalise == "rms":
            y = self.weight[:, None, None] * (y * torch.rsqrt(y.pow(2).mean(1, keepdim=True) + 1e-6))
        elif normalise == "rms, channels last":
            y = y.permute(0, 2, 3, 1)
            y = (torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6) * y * self.weight).permute(0, 3, 1, 2)
        elif normalise == "layer":
            y = y - y.mean(1, keepdim=True)
            y = y / (y.var(1, keepdim=True) + 1e-6).sqrt() * self.weight[:, None, None]
        elif normalise == "length":
            y = F.normalize(y, dim=1)
        gate = torch.sigmoid(self.fc(y))
        return (x * gate if order > 0 else gate * x).relu()

    model = Lambda(forward, a=nn.Conv2d(3, 4, 1, bias=False), fc=nn.Conv2d(4, 4, 1, bias=False))
    normalised = normalise not in ("none", "length")
    graph = trace(with_parameters(model, weight=(4,)) if normalised else model, IMAGE)
    layers = ["a.weight", *(["weight"] if normalised else []), "fc.weight", "cse"]
    assert edges(graph) == {("input", "a.weight"), *itertools.pairwise(layers), ("a.weight", "cse")}
    assert [node.op for node in graph.nodes] == ["input", "conv", *(["ln"] if normalised else []), "conv", "cse"]


def test_gate_of_a_sequence() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return (x := self.a(x)) * self.fc(x.mean(1, keepdim=True)).sigmoid()

    layers = {"a": nn.Linear(4, 4, bias=False), "fc": nn.Linear(4, 4, bias=False)}
    graph = trace(Lambda(forward, **layers), torch.zeros(2, 7, 4))
    assert [node.op for node in graph.nodes] == ["input", "conv", "conv", "cse"]


@pytest.mark.parametrize(
    ("pool", "op"),
    [
        (lambda x: F.avg_pool2d(x, 3), "avg_pool"),
        (lambda x: F.avg_pool2d(x, (6, 1)), "avg_pool"),
        (lambda x: F.avg_pool2d(x[:, :, :3, :3], 3, padding=1), "avg_pool"),
        (lambda x: F.avg_pool2d(x[:, :, :1, :1], 1), "avg_pool"),
        (lambda x: x.mean(3, keepdim=True), None),
        (lambda x: x.mean(1, keepdim=True), None),
        (lambda x: x.sum((2, 3), keepdim=True), None),
        (lambda x: x.sum((2, 3), keepdim=True) / 29, None),
        (lambda x: x.sum(3) / 5, None),
        (lambda x: x.mean(3, keepdim=True).std(2, keepdim=True), None),
        (lambda x: x.mean(), None),
    ],
)
def test_what_is_no_global_average(pool: Callable[[Tensor], Tensor], op: str | None) -> None:
    model = Lambda(lambda self, x: pool(self.a(x)), a=nn.Conv2d(3, 4, 1, bias=False))
    assert chain(trace(model, IMAGE)) == ["input", "conv", *([op] if op else [])]


def test_spatial_gates_and_strips_are_no_channel_gates() -> None:
    def strip(self: Lambda, x: Tensor) -> Tensor:
        x = self.a(x)
        return (x * self.fc(x.mean(3, keepdim=True)).sigmoid()).relu()

    def spatial(self: Lambda, x: Tensor) -> Tensor:
        x = self.a(x)
        return (x * self.fc(x.mean(1, keepdim=True).expand_as(x)).sigmoid()).relu()

    for forward in (strip, spatial):
        model = Lambda(forward, a=nn.Conv2d(3, 4, 1, bias=False), fc=nn.Conv2d(4, 4, 1, bias=False))
        assert [node.op for node in trace(model, IMAGE).nodes] == ["input", "conv", "conv"]


def test_normalisation_over_channels_first_is_no_pooling() -> None:
    model = Lambda(lambda self, x: (y := self.a(x)) - y.mean(1, keepdim=True), a=nn.Conv1d(3, 4, 3, bias=False))
    assert chain(trace(model, torch.zeros(2, 3, 9))) == ["input", "conv"]
