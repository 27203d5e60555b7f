"""Noise on parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers import create
from ghn.initializers.layers import layers_of
from ghn.initializers.noise import has_copies, part_copies
from tests.initializers.networks import images, state


@pytest.mark.parametrize("amount", ["0.01", "0.3rel"])
def test_noise_has_the_deviation_that_was_asked_for(amount: str) -> None:
    model = nn.Sequential(nn.Linear(100, 90), nn.Linear(90, 80))
    before = state(model)
    report = create(f"noise:{amount}")(model)
    assert set(report.changed) == set(before)
    for name, value in before.items():
        scale = 0.01 if amount == "0.01" else 0.3 * float(value.std())
        assert float((model.get_parameter(name).detach() - value).std()) == pytest.approx(scale, rel=0.3)


def tiled(*shape: int, times: int, axis: int) -> Tensor:
    return torch.cat([torch.randn(shape)] * times, axis)


def test_copies_are_seen_along_either_axis() -> None:
    torch.manual_seed(0)
    assert has_copies(tiled(4, 6, 3, 3, times=2, axis=0))
    assert not has_copies(tiled(4, 6, 3, 3, times=2, axis=1))
    assert has_copies(tiled(4, 6, 3, 3, times=2, axis=1).transpose(0, 1))
    assert not has_copies(torch.randn(512, 300))
    # In a precision in which independent numbers often meet, whole channels do not.
    assert not has_copies(torch.randn(512, 300, dtype=torch.bfloat16))
    assert has_copies(tiled(64, 27, times=3, axis=0).to(torch.bfloat16))
    nearly = tiled(8, 9, times=2, axis=0)
    nearly[0, 0] += 1e-3
    assert has_copies(nearly)
    assert not has_copies(nearly[[0, 8]])


@pytest.mark.parametrize(
    "weight",
    [
        torch.zeros(8, 4),
        torch.ones(8, 4, 3, 3),
        torch.eye(5),
        torch.randn(9, 1),
        torch.randn(1, 9),
        torch.zeros(0, 3),
        torch.cat([torch.zeros(3, 4), torch.randn(3, 4)]),
    ],
)
def test_constants_are_no_copies(weight: Tensor) -> None:
    assert not has_copies(weight)


def test_only_weights_with_copies_get_noise_of_their_own_scale() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 64, 3),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, groups=64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 50),
        nn.Linear(50, 3),
    )
    with torch.no_grad():
        model[0].weight.copy_(tiled(32, 3, 3, 3, times=2, axis=0))  # type: ignore[operator, union-attr]
        model[2].weight.copy_(5 * tiled(16, 1, 3, 3, times=4, axis=0))  # type: ignore[operator, union-attr]
        model[5].weight.copy_(tiled(50, 16, times=4, axis=1))  # type: ignore[operator, union-attr]
    before = state(model)
    assert part_copies(layers_of(model, images()), 0.5, seed=1) == ["0.weight", "2.weight", "5.weight"]
    for name, value in before.items():
        added = model.state_dict()[name] - value
        if name in ("0.weight", "2.weight", "5.weight"):
            assert float(added.std() / value.std()) == pytest.approx(0.5, rel=0.1)
        else:
            assert not added.any()
    assert part_copies(layers_of(model, images()), 0.5, seed=1) == []
