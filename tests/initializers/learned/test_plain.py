"""Functions that stand for others compute the same, and have all derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ghn.initializers.learned.plain import PlainOperators

MODULES = {
    "batch norm 1d": (nn.BatchNorm1d(4), (5, 4)),
    "batch norm of sequences": (nn.BatchNorm1d(4), (5, 4, 3)),
    "batch norm 2d": (nn.BatchNorm2d(4), (2, 4, 3, 3)),
    "batch norm without scale": (nn.BatchNorm2d(4, affine=False), (2, 4, 3, 3)),
    "batch norm without statistics": (nn.BatchNorm2d(4, track_running_stats=False).eval(), (2, 4, 3, 3)),
    "batch norm in evaluation": (nn.BatchNorm2d(4).eval(), (2, 4, 3, 3)),
    "instance norm": (nn.InstanceNorm2d(4), (2, 4, 3, 3)),
    "instance norm with scale": (nn.InstanceNorm2d(4, affine=True), (2, 4, 3, 3)),
    "instance norm in evaluation": (nn.InstanceNorm2d(4, track_running_stats=True).eval(), (2, 4, 3, 3)),
    "hard sigmoid": (nn.Hardsigmoid(), (2, 4, 3, 3)),
}


@pytest.mark.parametrize("name", MODULES)
def test_values_and_three_derivatives(name: str) -> None:
    module, shape = MODULES[name]
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    given = (2 * torch.randn(shape)).requires_grad_()
    expected = module(given)
    with PlainOperators():
        found = module(given)
        torch.testing.assert_close(found, expected)
        assert found.dtype == expected.dtype
        weights = torch.randn(shape)
        (one,) = torch.autograd.grad((expected * weights).sum(), given)
        value = (found * weights).sum()
        (first,) = torch.autograd.grad(value, given, create_graph=True)
        torch.testing.assert_close(first, one, atol=1e-5, rtol=1e-4)
        value = (found.square() * weights).sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, given, create_graph=True)
            value = gradient.square().sum()


def test_one_value_a_channel_is_refused_as_ever() -> None:
    with PlainOperators(), pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        nn.BatchNorm1d(4)(torch.randn(1, 4))


def test_fused_functions_still_need_it() -> None:
    given = torch.randn(3, 4, requires_grad=True)
    (first,) = torch.autograd.grad(nn.functional.hardsigmoid(given).square().sum(), given, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.grad(first.square().sum(), given)
