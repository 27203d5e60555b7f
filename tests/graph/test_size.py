"""Work grows with the size of a model, not with its square: counted in calls of functions, which no machine changes."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.families import FAMILIES, example
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda

GROWTH = 2.2
"""Most calls for twice the size, over those for the size."""


def calls(family: str, size: int) -> int:
    """Calls of functions, Python's and C's, while a model is traced."""
    model, inputs = FAMILIES[family](size), example(family, size)
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        trace(model, inputs)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("family", FAMILIES)
def test_twice_the_size_is_twice_the_work(family: str) -> None:
    calls(family, 4)
    assert calls(family, 80) < GROWTH * calls(family, 40)


def test_a_weight_seen_in_thousands_of_ways_one_after_the_other() -> None:
    graph = trace(FAMILIES["viewed_weight"](3000), example("viewed_weight", 3000))
    assert [node.op for node in graph.nodes] == ["input", "conv"]


def test_sums_that_meet_again_and_again() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        first, second = model.one(x), model.other(x)
        for _ in range(60):
            first, second = first + second, second + first
        return first + second

    graph = trace(Lambda(forward, one=nn.Linear(4, 4), other=nn.Linear(4, 4)), torch.zeros(2, 4))
    assert [spec.head for spec in graph.parameters.values()] == [True] * 4


def test_what_is_written_is_read_as_before_whatever_is_read_of_it() -> None:
    """A part of the buffer is the layer that wrote it; the whole is their concatenation, where it is read."""

    def forward(model: Any, x: Tensor) -> Tensor:
        buffer = x.new_zeros(2, 3, 4)
        for i, layer in enumerate((model.one, model.two, model.three)):
            buffer[:, i] = layer(x)
        first, other = buffer[:, 0], model.other(x)
        return torch.cat([model.last(buffer).flatten(1), first, other], -1)

    layers = {name: nn.Linear(4, 4, bias=False) for name in ("one", "two", "three", "other", "last")}
    graph = trace(Lambda(forward, **layers), torch.zeros(2, 4))
    assert [node.op for node in graph.nodes] == ["input", *["conv"] * 4, "concat", "conv", "concat"]
    into = [sorted(int(source) for source, node in graph.edges if node == end) for end in range(8)]
    assert into == [[], [0], [0], [0], [0], [1, 2, 3], [5], [1, 4, 6]]
