"""What the recorder notes: values, views, and writes in place."""

import torch
from torch import Tensor, nn

from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, chain, edges

IMAGE = torch.zeros(2, 3, 16, 16)


def conv(inputs: int = 3, outputs: int = 3, kernel: int = 3, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding="same", **{"bias": False, **options})


def test_written_slices() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        first, second = self.a(x).chunk(2, 1)
        out = torch.zeros(2, 6, 16, 16)
        out[:, :3] = first.relu_()
        out[:, 3:] = self.b(second)
        return self.c(out)

    graph = trace(Lambda(forward, a=conv(3, 6), b=conv(3, 3), c=conv(6, 6)), IMAGE)
    assert edges(graph) == {
        ("input", "a.weight"),
        ("a.weight", "b.weight"),
        ("a.weight", "c.weight"),
        ("b.weight", "c.weight"),
    }


def test_writing_to_one_half_leaves_the_other() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        first, second = self.a(x).chunk(2, 1)
        first += self.b(x)
        return self.c(second)

    graph = trace(Lambda(forward, a=conv(3, 6), b=conv(3, 3), c=conv(3, 3)), IMAGE)
    assert chain(graph) == ["input", "conv", "conv"]
    assert graph.kept == {"b.weight": "unused: no path to the output"}
