"""Scores from activations; `test_table.py` compares each with its definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.analysis.zero_cost.activations import fisher, jacobcov, naswot
from ghn.analysis.zero_cost.network import Network, UndefinedError
from tests.analysis.networks import some_images


class Rectified(nn.Module):
    """ReLU, ReLU6 and leaky ReLU as functions, one of them in place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7, 108, generator=torch.Generator().manual_seed(1)))

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.linear(images.flatten(1), self.weight)
        return functional.leaky_relu(functional.relu6(functional.relu(hidden, inplace=True) - 1) - 1)


def test_rectified_units_are_found_as_functions() -> None:
    model, (images, labels) = Rectified(), some_images(3)
    hidden = images.flatten(1) @ model.weight.T
    codes = torch.cat([hidden > 0, hidden.relu() - 1 > 0, (hidden.relu() - 1).clamp(0, 6) - 1 > 0], 1)
    kernel = (codes[:, None] == codes[None]).sum(2).double()
    assert naswot(Network(model, (images, labels))) == pytest.approx(float(kernel.logdet()))


def test_images_that_switch_the_same_units_have_no_score() -> None:
    images, labels = some_images(1)
    with pytest.raises(UndefinedError, match="switch the same units"):
        naswot(Network(Rectified(), (images.repeat(2, 1, 1, 1), labels.repeat(2))))


def test_constant_derivatives_have_no_correlation() -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, images: Tensor) -> Tensor:
            return images.mean((1, 2, 3))[:, None] * self.scale

    with pytest.raises(UndefinedError, match="all alike"):
        jacobcov(Network(Mean(), some_images()))


def test_a_layer_that_is_overwritten_counts_as_it_was() -> None:
    """Fisher of one layer whose output a ReLU overwrites: of what the layer gave."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 4), nn.ReLU(inplace=True))
    images, labels = some_images(3)
    output = functional.linear(images.flatten(1), model[1].weight, model[1].bias).detach().requires_grad_()  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(functional.cross_entropy(output.relu(), labels), [output])
    expected = 0.5 * (output * gradient).square().mean(0).sum().item()
    assert fisher(Network(model, (images, labels))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "rectify",
    [
        lambda x: x.clamp(min=0),
        lambda x: x.clamp_min(0),
        lambda x: x.clamp(0, 100),
        lambda x: torch.maximum(x, torch.zeros(())),
        lambda x: functional.hardtanh(x, 0, 100),
        lambda x: x.clone().relu_(),
    ],
)
def test_however_a_rectifier_is_written_naswot_is_the_same(rectify: Callable[[Tensor], Tensor]) -> None:
    class Written(nn.Module):
        def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.first, self.head, self.activation = nn.Conv2d(3, 8, 3), nn.Linear(8, 4), activation

        def forward(self, images: Tensor) -> Tensor:
            # Neither of these rectifies.
            hidden = self.first(images).clamp(-1e9).clamp(max=1e9)
            return self.head(self.activation(hidden).mean((2, 3)))

    found = []
    for activation in (functional.relu, rectify):
        torch.manual_seed(0)
        model, images = Written(activation), torch.randn(4, 3, 6, 6)
        found.append(naswot(Network(model, (images, torch.arange(4)))))
    assert found[0] == pytest.approx(found[1])
