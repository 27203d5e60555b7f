"""Plausible results of operators whose result depends on numbers, for runs without numbers.

Detectors select boxes, mixtures of experts select tokens: how many is known only with numbers. To see which layers
feed which it is enough that something plausible comes out: every mask is true everywhere, two boxes are
kept, all values are equal where distinct ones are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class NeedsValuesError(RuntimeError):
    """A run without numbers reached an operator whose result depends on them."""


def depends_on_values(name: str, args: Sequence[Any], tensors: Sequence[Tensor]) -> bool:
    """Whether an operator called on tensors without numbers has a result that only numbers tell.

    Args:
        name: Operator as `str(func)` gives it.
        args: Its positional arguments.
        tensors: All tensors among its arguments.
    """
    if name not in GUESSES or not any(tensor.is_meta for tensor in tensors):
        return False
    if name in _INDEXING:
        return any(tensor.is_meta and tensor.dtype in _MASKS for tensor in args[1] if tensor is not None)
    return tensors[0].is_meta


def guess(name: str, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, answer: bool | None) -> Any:
    """A plausible result of an operator for which `depends_on_values` holds.

    Args:
        name: Operator as `str(func)` gives it.
        func: The operator.
        args: Its positional arguments.
        kwargs: Its named ones.
        answer: That of every yes or no; None to guess nothing.

    Raises:
        NeedsValuesError: If nothing is to be guessed.
    """
    if answer is None:
        raise NeedsValuesError(f"the result of {name} depends on values")
    if is_decision(name, args):
        return answer
    return GUESSES[name](func, *args, **kwargs)


def is_decision(name: str, args: Sequence[Any]) -> bool:
    """Whether the operator hands a truth value to Python, where it decides what runs next."""
    return name in ("aten.equal.default", "aten.is_nonzero.default") or (
        name == "aten._local_scalar_dense.default" and args[0].dtype == torch.bool
    )


def _scalar(func: Any, tensor: Tensor) -> int | float:
    return 1.0 if tensor.is_floating_point() else 1


def _all_positions(func: Any, mask: Tensor) -> Tensor:
    return torch.ones(mask.shape, dtype=torch.bool).nonzero()


def _all_selected(func: Any, tensor: Tensor, mask: Tensor) -> Tensor:
    return tensor.new_empty(math.prod(torch.broadcast_shapes(tensor.shape, mask.shape)))


def _indexed(func: Any, tensor: Tensor, indices: Sequence[Tensor | None], *rest: Any, **options: Any) -> Any:
    positions: list[Tensor | None] = []
    for index in indices:
        if index is None or not index.is_meta or index.dtype not in _MASKS:
            positions.append(index if index is None or index.is_meta else index.to(tensor.device))
            continue
        count = math.prod(index.shape)
        positions += [index.new_empty(count, dtype=torch.int64) for _ in index.shape]
    return func(tensor, positions, *rest, **options)


def _all_equal(func: Any, tensor: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor, Tensor]:
    inverse = torch.zeros(tensor.shape, dtype=torch.int64)
    return tensor.flatten()[:1], inverse, torch.full((1,), tensor.numel())


def _equal_slices(func: Any, tensor: Tensor, dim: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor, Tensor]:
    count = tensor.shape[dim]
    return tensor.narrow(dim, 0, 1), torch.zeros(count, dtype=torch.int64), torch.full((1,), count)


def _each_once(func: Any, repeats: Tensor, **_: Any) -> Tensor:
    return torch.arange(repeats.numel())


def _one_bin(func: Any, tensor: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    return torch.ones(max(minlength, 1), dtype=torch.int64)


def _two_kept(func: Any, boxes: Tensor, *_: Any) -> Tensor:
    # Detectors go through what is left box by box.
    return torch.arange(min(boxes.shape[0], 2))


GUESSES: Mapping[str, Callable[..., Any]] = {
    "aten._local_scalar_dense.default": _scalar,
    "aten.is_nonzero.default": _scalar,
    "aten.equal.default": _scalar,
    "aten.nonzero.default": _all_positions,
    "aten.masked_select.default": _all_selected,
    "aten.index.Tensor": _indexed,
    "aten.index_put.default": _indexed,
    "aten.index_put_.default": _indexed,
    "aten._index_put_impl_.default": _indexed,
    "aten._unique2.default": _all_equal,
    "aten.unique_consecutive.default": _all_equal,
    "aten.unique_dim.default": _equal_slices,
    "aten.repeat_interleave.Tensor": _each_once,
    "aten.bincount.default": _one_bin,
    "torchvision.nms.default": _two_kept,
}
"""What to answer, by operator."""

_INDEXING = ("aten.index.Tensor", "aten.index_put.default", "aten.index_put_.default", "aten._index_put_impl_.default")
_MASKS = (torch.bool, torch.uint8)


def counts(tensor: Tensor) -> bool:
    """Whether the numbers of each row are equally spaced, as far as they are known."""
    if tensor.is_meta or tensor.is_floating_point() or tensor.is_complex() or type(tensor) is not Tensor:
        return True
    rows = tensor.reshape(-1, tensor.shape[-1])[:, :4096]
    return not bool(rows.diff(n=2).any())
