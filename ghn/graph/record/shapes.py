"""Shapes of frequent operators' results, where PyTorch's own meta implementation is slow Python.

On the meta device a batch normalisation takes over a millisecond in PyTorch's decompositions and three microseconds
here. Every entry is tested against PyTorch's own result. Entries are names, so that an operator which a version of
PyTorch lacks is never asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Shortcut = Callable[..., Any]


def _like_first(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.empty_like(tensor)


def _contiguous_like_first(tensor: Tensor, *_: Any, **__: Any) -> Any:
    return torch.empty_like(tensor) if tensor.is_contiguous() else NotImplemented


def _first_itself(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return tensor


def _layer_norm(x: Tensor, normalised: list[int], *_: Any) -> Any:
    kept = [*x.shape[: x.dim() - len(normalised)], *[1] * len(normalised)]
    return torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(kept), x.new_empty(kept)


def _addmm(bias: Tensor, first: Tensor, second: Tensor, **_: Any) -> Tensor:
    return first.new_empty(first.shape[0], second.shape[1])


def _binary(first: Any, second: Any, **options: Any) -> Any:
    if isinstance(second, Tensor):
        if first.shape != second.shape or first.stride() != second.stride() or first.dtype != second.dtype:
            return NotImplemented
    elif not first.is_floating_point():
        return NotImplemented
    return torch.empty_like(first)


def _cat(tensors: list[Tensor], dim: int = 0) -> Any:
    first = tensors[0]
    dim %= max(first.dim(), 1)
    for tensor in tensors:
        fits = tensor.dim() == first.dim() and tensor.dtype == first.dtype and tensor.is_contiguous()
        if not fits or any(a != b for axis, (a, b) in enumerate(zip(tensor.shape, first.shape)) if axis != dim):
            return NotImplemented
    shape = list(first.shape)
    shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
    return first.new_empty(shape)


def _mean(x: Tensor, dim: list[int] | None, keepdim: bool = False, **options: Any) -> Any:
    rank = x.dim()
    if not dim or options or not x.is_contiguous() or not all(-rank <= axis < rank for axis in dim):
        return NotImplemented
    reduced = {axis % rank for axis in dim}
    if len(reduced) < len(dim):
        return NotImplemented
    if keepdim:
        return x.new_empty([1 if axis in reduced else size for axis, size in enumerate(x.shape)])
    return x.new_empty([size for axis, size in enumerate(x.shape) if axis not in reduced])


def _slow_dtype(shortcut: Shortcut) -> Shortcut:
    """Only for single and double precision: half types and integers are promoted in ways that PyTorch knows best."""

    def checked(*args: Any, **kwargs: Any) -> Any:
        for argument in args:
            if isinstance(argument, Tensor) and argument.dtype not in (torch.float32, torch.float64):
                return NotImplemented
            if isinstance(argument, Tensor) and not _is_dense(argument):
                return NotImplemented
        return shortcut(*args, **kwargs)

    return checked


def _is_dense(tensor: Tensor) -> bool:
    return tensor.dim() != 4 or tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)


def _matching_addmm(bias: Tensor, first: Tensor, second: Tensor, **options: Any) -> Any:
    fits = first.dim() == second.dim() == 2 and first.shape[1] == second.shape[0] and first.dtype == second.dtype
    fits = fits and bias.dtype == first.dtype and tuple(bias.shape) == (second.shape[1],)
    return _addmm(bias, first, second) if fits else NotImplemented


def _matching_batch_norm(x: Tensor, weight: Any, bias: Any, *rest: Any) -> Any:
    fits = x.dim() >= 2 and all(t is None or tuple(t.shape) == (x.shape[1],) for t in (weight, bias, *rest[:2]))
    return (torch.empty_like(x), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])) if fits else NotImplemented


def _matching_layer_norm(x: Tensor, normalised: list[int], weight: Any, bias: Any, *rest: Any) -> Any:
    fits = tuple(x.shape[x.dim() - len(normalised) :]) == tuple(normalised)
    fits = fits and all(t is None or tuple(t.shape) == tuple(normalised) for t in (weight, bias))
    return _layer_norm(x, normalised) if fits else NotImplemented


def _check_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    *_: Any,
) -> None:
    axes = weight.dim() - 2
    if transposed or x.dim() != axes + 2:
        return
    for size, kernel, pad, step in zip(x.shape[2:], weight.shape[2:], _each(padding, axes), _each(dilation, axes)):
        if size + 2 * pad < step * (kernel - 1) + 1:
            raise RuntimeError(f"a kernel of {tuple(weight.shape[2:])} is larger than an image of {tuple(x.shape[2:])}")


def _each(values: list[int], axes: int) -> list[int]:
    return values * axes if len(values) == 1 else values


_UNCHECKED: dict[str, Shortcut] = {
    "aten.native_batch_norm.default": _matching_batch_norm,
    "aten.native_layer_norm.default": _matching_layer_norm,
    "aten.addmm.default": _matching_addmm,
    "aten.gelu.default": _like_first,
    "aten.relu.default": _like_first,
    "aten.silu.default": _like_first,
    "aten.sigmoid.default": _like_first,
    "aten.hardswish.default": _like_first,
    "aten.hardsigmoid.default": _like_first,
    "aten.hardtanh.default": _like_first,
    "aten.clamp.default": _like_first,
    "aten.clamp_min.default": _like_first,
    "aten.roll.default": _contiguous_like_first,
    "aten._safe_softmax.default": _contiguous_like_first,
    "aten._softmax.default": _contiguous_like_first,
    "aten.cat.default": _cat,
    "aten.mean.dim": _mean,
    "aten.hardswish_.default": _first_itself,
    "aten.hardsigmoid_.default": _first_itself,
    "aten.silu_.default": _first_itself,
    "aten.relu_.default": _first_itself,
    "aten.mul.Tensor": _binary,
    "aten.add.Tensor": _binary,
    "aten.sub.Tensor": _binary,
    "aten.div.Tensor": _binary,
}

SHORTCUTS: Mapping[str, Shortcut] = {operator: _slow_dtype(shortcut) for operator, shortcut in _UNCHECKED.items()}
"""Operator, as `str` gives it → function of its arguments that returns the result or, where PyTorch must decide,
`NotImplemented`."""

CHECKS: Mapping[str, Callable[..., None]] = {"aten.convolution.default": _check_convolution}
"""Operator → what raises a RuntimeError for arguments that the operator refuses, for operators that do not always.

Without numbers a convolution gives empty images where its kernel does not fit, up to PyTorch 2.6 at least.
"""
