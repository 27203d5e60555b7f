"""Target networks on a GPU without a wait for each new shape.

From version 9.10 on cuDNN compiles a depthwise convolution at run time for every shape that it has not met, which takes
over a second each; nearly every network of DeepNets-1M has new ones, forwards and two backwards. PyTorch's own kernels
are compiled for all shapes. (Ordinary convolutions of a new shape cost cuDNN about a millisecond.) Its attention is
compiled likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


@contextmanager
def attention_without_compilation() -> Iterator[None]:
    """While it lasts, `scaled_dot_product_attention` on CUDA devices does not use cuDNN, in the whole process."""
    enabled = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(enabled)


def compiles_each_shape(module: nn.Module, device: torch.device) -> bool:
    """Whether a module is a convolution that cuDNN would compile for each shape: depthwise, on a CUDA device."""
    return (
        device.type == "cuda"
        and isinstance(module, nn.Conv2d)
        and 1 < module.groups == module.in_channels
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def without_compilation(network: nn.Module, device: torch.device) -> int:
    """Let a network's depthwise convolutions on a CUDA device use PyTorch's own kernels (changes it in place).

    Args:
        network: Its parameters may be on the meta device, to be given by `torch.func.functional_call`.
        device: Where it will run.

    Returns:
        How many convolutions were changed.
    """
    found = [module for module in network.modules() if compiles_each_shape(module, device)]
    for module in found:
        assert isinstance(module, nn.Conv2d)
        use_own_kernels(module)
    return len(found)


def use_own_kernels(convolution: nn.Conv2d) -> None:
    """Let a convolution compute without cuDNN, in the type that autocast asks for (changes it in place)."""

    def run(images: Tensor) -> Tensor:
        weight, bias = convolution.weight, convolution.bias
        if torch.is_autocast_enabled(images.device.type):
            dtype = torch.get_autocast_dtype(images.device.type)
            images, weight = images.to(dtype), weight.to(dtype)
        result = _Convolution.apply(
            images, weight, convolution.stride, convolution.padding, convolution.dilation, convolution.groups
        )
        return result if bias is None else result + bias.to(result.dtype)[:, None, None]

    convolution.forward = run  # type: ignore[method-assign, assignment]


class _Convolution(torch.autograd.Function):
    """`conv2d` whose three computations run without cuDNN; the choice is made anew in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.form = stride, padding, dilation, groups
        with torch.backends.cudnn.flags(enabled=False):
            return functional.conv2d(images, weight, None, *ctx.form)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.form
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        with torch.backends.cudnn.flags(enabled=False):
            to_images, to_weight, _ = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted
            )
        return to_images, to_weight, None, None, None, None
