"""Batch norms over the batches of all processes, whatever module computes them and on whatever device.

PyTorch's `SyncBatchNorm` replaces modules of its own classes, and refuses the CPU; here the operator itself is replaced
while a network runs, so that batch norms of any library are found and the network stays as it is.

Legend: B images, C channels, N elements of a channel over all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SynchronisedBatchNorm(TorchFunctionMode):
    """Context in which batch norms that normalise by the batch take that of all processes, which run it in step.

    Gradients are those of the sum of all processes' losses.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if func is functional.batch_norm:
            return _functional(*args, **named)
        if func is torch.batch_norm:
            return _operator(*args, **named)
        return func(*args, **named)


def _functional(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `torch.nn.functional.batch_norm`."""
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    return _normalised(input, running_mean, running_var, weight, bias, momentum, eps)


def _operator(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """As `torch.batch_norm`, whose arguments have another order."""
    return _functional(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _normalised(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    values = input if input.dtype == torch.float64 else input.float()
    axes = [0, *range(2, input.dim())]
    shape = [1, -1, *(1 for _ in axes[1:])]
    count = values.new_full((1,), values.numel() / values.shape[1])
    sums = _Sum.apply(torch.cat([values.sum(axes), count]))
    N = sums[-1].detach()
    mean_C = sums[:-1] / N
    centred = values - mean_C.view(shape)
    # In two passes, as the difference of large squares would be rounded.
    variance_C = _Sum.apply(centred.square().sum(axes)) / N
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean_C.to(running_mean), momentum)
        if running_var is not None:
            running_var.lerp_((variance_C * N / (N - 1).clamp(min=1)).to(running_var), momentum)
    scale_C = torch.rsqrt(variance_C + eps)
    if weight is not None:
        scale_C = scale_C * weight
    output = centred * scale_C.view(shape)
    if bias is not None:
        output = output + bias.view(shape)
    return output.to(input.dtype)


class _Sum(torch.autograd.Function):
    """Sum over processes; so is its gradient, since every process's loss depends on it."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total
