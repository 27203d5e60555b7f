"""Shapes of frequent operators' results, where PyTorch's own meta implementation is slow Python.

On the meta device a batch normalisation takes over a millisecond in PyTorch's decompositions and three microseconds
here. Every entry is tested against PyTorch's own result. Entries are names, so that an operator which a version of
PyTorch lacks is never asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ghn.common.private_torch import is_traced_by_pytorch

Shortcut = Callable[..., Any]

_REAL = (int, float, bool)


def _empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    """A contiguous tensor of the type and device of another: `new_empty` and `empty_like` are slow there."""
    return torch.empty(shape, dtype=like.dtype, device=like.device)


def _like(tensor: Tensor) -> Tensor:
    """One with the same strides, of a tensor without gaps."""
    if tensor.is_contiguous():
        return _empty(tensor, tensor.shape)
    if _orders_axes(tensor):
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    return torch.empty_like(tensor)


def _like_first(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return _like(tensor)


def _contiguous_like_first(tensor: Tensor, *_: Any, **__: Any) -> Any:
    return _like(tensor) if tensor.is_contiguous() else NotImplemented


def _first_itself(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return tensor


def _layer_norm(x: Tensor, normalised: list[int], *_: Any) -> Any:
    kept = [*x.shape[: x.dim() - len(normalised)], *[1] * len(normalised)]
    return _empty(x, x.shape), _empty(x, kept), _empty(x, kept)


def _addmm(bias: Tensor, first: Tensor, second: Tensor, **_: Any) -> Tensor:
    return _empty(first, (first.shape[0], second.shape[1]))


def _binary(first: Any, second: Any, **options: Any) -> Any:
    if not isinstance(second, Tensor):
        return _like(first) if type(second) in _REAL and first.is_floating_point() else NotImplemented
    if first.dtype != second.dtype:
        return NotImplemented
    shape = first.shape
    if shape == second.shape:
        # The first operand decides on the order of axes, where its strides leave no doubt.
        if first.stride() == second.stride() or _orders_axes(first):
            return _like(first)
        return NotImplemented
    if not (first.is_contiguous() and second.is_contiguous()):
        return NotImplemented
    broadcast = _broadcast(tuple(shape), tuple(second.shape))
    return NotImplemented if broadcast is None else _empty(first, broadcast)


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> list[int] | None:
    """The common shape, None where there is none."""
    rank = max(len(first), len(second))
    sizes = []
    for one, other in zip((1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second):
        if one != other and one != 1 and other != 1:
            return None
        sizes.append(other if one == 1 else one)
    return sizes


def _orders_axes(tensor: Tensor) -> bool:
    """Whether a tensor fills its memory without gaps, and no axis is of one element."""
    expected = 1
    for step, size in sorted(zip(tensor.stride(), tensor.shape)):
        if step != expected or size < 2:
            return False
        expected *= size
    return True


def _in_place(first: Tensor, second: Any, **options: Any) -> Any:
    """Arithmetic that is written to the first operand, which has the result's shape and type."""
    if isinstance(second, Tensor):
        fits = second.dtype == first.dtype and second.shape == first.shape
    else:
        fits = type(second) is int or (type(second) is float and first.is_floating_point())
    fits = fits and (first.dim() == 0 or first.is_contiguous())
    return first if fits else NotImplemented


def _product(first: Tensor, second: Tensor, **options: Any) -> Any:
    fits = first.dim() == second.dim() and first.dtype == second.dtype and first.shape[-1] == second.shape[-2]
    fits = fits and first.shape[:-2] == second.shape[:-2] and not options
    return _empty(first, (*first.shape[:-1], second.shape[-1])) if fits else NotImplemented


def _clone(tensor: Tensor, *, memory_format: torch.memory_format = torch.preserve_format) -> Any:
    if memory_format is torch.contiguous_format or (memory_format is torch.preserve_format and tensor.is_contiguous()):
        return _empty(tensor, tensor.shape)
    return NotImplemented


def _cat(tensors: list[Tensor], dim: int = 0) -> Any:
    first = tensors[0]
    dim %= max(first.dim(), 1)
    for tensor in tensors:
        fits = tensor.dim() == first.dim() and tensor.dtype == first.dtype and tensor.is_contiguous()
        if not fits or any(a != b for axis, (a, b) in enumerate(zip(tensor.shape, first.shape)) if axis != dim):
            return NotImplemented
    shape = list(first.shape)
    shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
    return _empty(first, shape)


def _mean(x: Tensor, dim: list[int] | None, keepdim: bool = False, **options: Any) -> Any:
    rank = x.dim()
    if not dim or options or not x.is_contiguous() or not all(-rank <= axis < rank for axis in dim):
        return NotImplemented
    reduced = {axis % rank for axis in dim}
    if len(reduced) < len(dim):
        return NotImplemented
    if keepdim:
        return _empty(x, [1 if axis in reduced else size for axis, size in enumerate(x.shape)])
    return _empty(x, [size for axis, size in enumerate(x.shape) if axis not in reduced])


def _grouped_product(rows: Tensor, weights: Tensor, ends: Tensor | None = None, *rest: Any, **options: Any) -> Any:
    """Rows, sorted by experts, times the weight of their own: on the CPU in single precision, too, on meta in none."""
    fits = rows.dim() == 2 and weights.dim() == 3 and rows.dtype == weights.dtype and rows.is_floating_point()
    fits = fits and rows.shape[1] == weights.shape[1] and not any((*rest, *options.values()))
    fits = fits and ends is not None and tuple(ends.shape) == (weights.shape[0],)
    return _empty(rows, (rows.shape[0], weights.shape[2])) if fits else NotImplemented


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
    dense = tensor.dim() != 4 or tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
    return dense or _orders_axes(tensor)


def _matching_addmm(bias: Tensor, first: Tensor, second: Tensor, **options: Any) -> Any:
    fits = first.dim() == second.dim() == 2 and first.shape[1] == second.shape[0] and first.dtype == second.dtype
    fits = fits and bias.dtype == first.dtype and tuple(bias.shape) == (second.shape[1],)
    return _addmm(bias, first, second) if fits else NotImplemented


def _matching_batch_norm(x: Tensor, weight: Any, bias: Any, *rest: Any) -> Any:
    fits = x.dim() >= 2 and all(t is None or tuple(t.shape) == (x.shape[1],) for t in (weight, bias, *rest[:2]))
    return (_like(x), _empty(x, (x.shape[1],)), _empty(x, (x.shape[1],))) if fits else NotImplemented


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


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Any:
    axes = weight.dim() - 2
    if transposed or axes < 1 or x.dim() != axes + 2 or x.dtype != weight.dtype or not x.is_contiguous():
        return NotImplemented
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups or 0 in x.shape:
        return NotImplemented
    if bias is not None and (bias.dtype != x.dtype or tuple(bias.shape) != (weight.shape[0],)):
        return NotImplemented
    each = (_each(values, axes) for values in (padding, dilation, stride))
    sides = [
        (size + 2 * pad - step * (kernel - 1) - 1) // hop + 1
        for size, kernel, pad, step, hop in zip(x.shape[2:], weight.shape[2:], *each)
    ]
    if min(sides) < 1:
        return NotImplemented
    # Images of one pixel or channel count as channels-last too, and so do the larger images made of them.
    if set(sides) != {1} and axes == 2 and x.is_contiguous(memory_format=torch.channels_last):
        return NotImplemented
    return _empty(x, (x.shape[0], weight.shape[0], *sides))


_UNCHECKED: dict[str, Shortcut] = {
    "aten.convolution.default": _convolution,
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
    "aten.mm.default": _product,
    "aten.bmm.default": _product,
    "aten.clone.default": _clone,
    "aten.mean.dim": _mean,
    "aten.hardswish_.default": _first_itself,
    "aten.hardsigmoid_.default": _first_itself,
    "aten.silu_.default": _first_itself,
    "aten.relu_.default": _first_itself,
    "aten.mul.Tensor": _binary,
    "aten.add.Tensor": _binary,
    "aten.sub.Tensor": _binary,
    "aten.div.Tensor": _binary,
    "aten.mul.Scalar": _binary,
}

_OF_ANY_TYPE: dict[str, Shortcut] = {
    "aten._grouped_mm.default": _grouped_product,
    "aten.add_.Tensor": _in_place,
    "aten.sub_.Tensor": _in_place,
    "aten.mul_.Tensor": _in_place,
}

SHORTCUTS: Mapping[str, Shortcut] = {
    **{operator: _slow_dtype(shortcut) for operator, shortcut in _UNCHECKED.items()},
    **_OF_ANY_TYPE,
}
"""Operator, as `str` gives it → function of its arguments that returns the result or, where PyTorch must decide,
`NotImplemented`."""

CHECKS: Mapping[str, Callable[..., None]] = {"aten.convolution.default": _check_convolution}
"""Operator → what raises a RuntimeError for arguments that the operator refuses, for operators that do not always.

Without numbers a convolution gives empty images where its kernel does not fit, up to PyTorch 2.6 at least.
"""


def without_numbers(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], tensors: Sequence[Tensor]) -> Any:
    """An operator's result where nothing but shapes has to be computed; `NotImplemented` where PyTorch must run it.

    Args:
        name: Operator as `str(func)` gives it.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        tensors: All tensors among both.

    Raises:
        RuntimeError: For arguments that the operator refuses.
    """
    shortcut = SHORTCUTS.get(name)
    # What runs in an operator's place would be traced in its place.
    if shortcut is not None and all([tensor.is_meta for tensor in tensors]) and not is_traced_by_pytorch():
        result = shortcut(*args, **kwargs)
        if result is not NotImplemented:
            return result
    check = CHECKS.get(name)
    if check is not None:
        check(*args)
    return NotImplemented
