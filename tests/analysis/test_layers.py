"""Layers of a running model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.analysis.layers import Application, Layers, rows_of_images
from tests.analysis.networks import Attention, Small, made, some_images


def seen(model: nn.Module, images: Tensor) -> list[Application]:
    found: list[Application] = []
    with torch.no_grad(), Layers(dict(model.named_parameters()), found.append):
        model(images)
    return found


def test_layers_are_told_in_the_order_of_the_data() -> None:
    found = seen(made(Small), some_images()[0])
    assert [one.name for one in found] == ["first.weight", "second.weight", "head.weight"]
    assert [one.number for one in found] == [0, 1, 2]
    assert [tuple(one.output.shape) for one in found] == [(5, 4, 6, 6), (5, 6, 2, 2), (5, 4)]
    assert [one.rows().shape[1] for one in found] == [4, 6, 4]


def test_products_within_attention_are_no_layers() -> None:
    names = [one.name for one in seen(made(Attention).train(), some_images()[0])]
    assert names == ["patch.weight", "attention.in_proj_weight", "attention.out_proj.weight", "head.weight"]


class Made(nn.Module):
    """Weights that are made before they are used: standardised, on the left of a product, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.gain = nn.Parameter(torch.ones(4, 1, 1, 1))
        self.left = nn.Parameter(torch.randn(5, 4))

    def forward(self, images: Tensor) -> Tensor:
        kernel = self.gain * (self.kernel - self.kernel.mean((1, 2, 3), keepdim=True))
        hidden = functional.conv2d(functional.conv2d(images, kernel), kernel[:, :, 1:, 1:].mean(1, keepdim=True),
            groups=4)  # fmt: skip
        return (self.left @ hidden.mean((2, 3)).T).T


def test_made_weights_count_by_their_largest_part() -> None:
    found = seen(Made(), some_images()[0])
    assert [one.name for one in found] == ["kernel", "kernel", "left"]
    assert found[2].output.shape == (5, 5)
    assert found[2].channels == 0


def test_rows_of_images_are_found_out() -> None:
    model, (images, _) = made(Attention).eval(), some_images(3)
    parameters = dict(model.named_parameters())

    @torch.no_grad()
    def run(given: Tensor, tell: object) -> None:
        with Layers(parameters, tell):  # type: ignore[arg-type]
            model(given)

    # Rows that nothing of an image reaches count as its own where they lie among them.
    # Patches by image: four positions each; tokens of all images by position; the head by image.
    assert rows_of_images(run, images) == {0: 4, 1: 1, 2: 1, 3: 1}


class Elsewhere(nn.Module):
    """Weights put together in fresh memory, and applied to what no data made: noise, a state of zeros, a table."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = (nn.Parameter(torch.randn(3, 108)) for _ in range(2))
        self.first, self.state, self.bias = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(2, 6)
        self.register_buffer("table", torch.randn(5, 2))

    def forward(self, images: Tensor) -> Tensor:
        weight = torch.zeros(6, 108)
        weight[:3] = self.left
        weight[3:] = self.right
        hidden = functional.linear(images.flatten(1), weight)
        hidden = hidden + self.first(torch.randn(5, 4)) + self.state(torch.zeros(5, 6))
        return hidden + self.bias(self.table)


def test_fresh_memory_holds_weights_and_constants_are_data() -> None:
    model = Elsewhere()
    found: list[Application] = []
    with torch.no_grad(), Layers(dict(model.named_parameters()), found.append, buffers=model.buffers()):
        model(some_images()[0])
    assert [one.name for one in found] == ["left", "first.weight", "state.weight", "bias.weight"]
