"""Depthwise convolutions without cuDNN: the same numbers, for the convolutions that are meant and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call

from ghn.meta.new_shapes import compiles_each_shape, use_own_kernels, without_compilation

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("convolution", "chosen"),
    [
        (nn.Conv2d(6, 6, 3, groups=6, padding=2, dilation=2), True),
        (nn.Conv2d(6, 12, 3, groups=6), True),
        (nn.Conv2d(6, 6, 3, groups=3), False),
        (nn.Conv2d(1, 4, 3), False),
        (nn.Conv2d(6, 6, 3, groups=6, padding="same"), False),
        (nn.Conv2d(6, 6, 3, groups=6, padding=1, padding_mode="reflect"), False),
        (nn.ConvTranspose2d(6, 6, 3, groups=6), False),
        (nn.Conv1d(6, 6, 3, groups=6), False),
    ],
)
def test_chosen_by_kind_and_device(convolution: nn.Module, chosen: bool) -> None:
    assert compiles_each_shape(convolution, CUDA) is chosen
    assert not compiles_each_shape(convolution, CPU)


def test_only_those_of_a_network_are_changed() -> None:
    ordinary, depthwise = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 5, groups=8)
    network = nn.Sequential(ordinary, nn.Sequential(depthwise, nn.ReLU()))
    assert without_compilation(network, CPU) == 0
    assert without_compilation(network, CUDA) == 1
    assert "forward" in vars(depthwise)
    assert "forward" not in vars(ordinary)


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 3, "dilation": 2}, {"bias": False, "padding": (2, 0)}]
)
def test_values_and_gradients_are_those_of_conv2d(options: Mapping[str, Any]) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 8, (3, 5), groups=4, dtype=torch.float64, **options)
    changed = nn.Conv2d(4, 8, (3, 5), groups=4, dtype=torch.float64, **options)
    use_own_kernels(changed)
    images = torch.randn(2, 4, 12, 13, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    weights = {name: parameter.detach().requires_grad_() for name, parameter in plain.named_parameters()}
    found = []
    for module in (plain, changed):
        shown = images.clone().requires_grad_()
        scores = functional_call(module, weights, (shown,))
        found.append([scores, *torch.autograd.grad(scores.square().sum(), [shown, *weights.values()])])
    for expected, actual in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected)


def test_autocast_is_obeyed() -> None:
    plain, changed = (nn.Conv2d(4, 4, 3, groups=4, dtype=torch.float32) for _ in range(2))
    changed.load_state_dict(plain.state_dict())
    use_own_kernels(changed)
    images = torch.randn(2, 4, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, actual = plain(images), changed(images)
    assert actual.dtype == expected.dtype == torch.bfloat16
    # The bias is added after rounding.
    torch.testing.assert_close(actual, expected, atol=2e-2, rtol=2e-2)


def test_cudnn_is_off_within_and_as_it_was_after(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    conv2d = nn.functional.conv2d

    def look(*given: Any, **named: Any) -> torch.Tensor:
        seen.append(torch.backends.cudnn.enabled)
        return conv2d(*given, **named)

    monkeypatch.setattr("ghn.meta.new_shapes.functional.conv2d", look)
    convolution = nn.Conv2d(4, 4, 3, groups=4)
    use_own_kernels(convolution)
    for enabled in (True, False):
        with torch.backends.cudnn.flags(enabled=enabled):
            convolution(torch.randn(1, 4, 5, 5)).sum().backward()
            assert torch.backends.cudnn.enabled is enabled
    assert seen == [False, False]
