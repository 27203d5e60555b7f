"""What tensors of any class and layout are made of, where not every tensor can say it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.sharded import is_sharded, local_part

_PLAIN = frozenset({Tensor, nn.Parameter})


def memory(tensor: Tensor) -> Tensor | None:
    """The plain strided tensor that holds a tensor's numbers, detached and in the same memory.

    Args:
        tensor: Of any class; a sharded one has the numbers of this process.

    Returns:
        None if only the tensor's class, layout or quantiser knows where and how the numbers are kept: wrapper
        subclasses (those with `__torch_dispatch__`), sparse, nested and quantised tensors.
    """
    if is_sharded(tensor):
        return memory(local_part(tensor))
    if is_opaque(tensor):
        return None
    plain = without_class(tensor)
    if plain.layout is not torch.strided or plain.is_nested or plain.is_quantized:
        return None
    return plain.detach()


def is_opaque(tensor: Tensor) -> bool:
    """Whether the tensor's class carries out operators itself, so that its numbers are what it makes of them."""
    return type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__


def without_class(tensor: Tensor) -> Tensor:
    """The tensor past whatever its class does with functions (`__torch_function__`); opaque ones as they are."""
    if type(tensor) in (Tensor, nn.Parameter) or is_opaque(tensor):
        return tensor
    try:
        return tensor.as_subclass(Tensor)
    except (RuntimeError, NotImplementedError):
        return tensor  # there are no views of layouts without a storage


def has_dense_shape(tensor: Tensor) -> bool:
    """Whether the tensor has a size along each axis, in numbers: nested tensors have none."""
    return _has_numbers_of(without_class(tensor))


def _has_numbers_of(plain: Tensor) -> bool:
    return not plain.is_nested and all([type(size) is int for size in plain.shape])


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """The piece of memory that the tensor lives in, if it lives in one."""
    try:
        return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError, ValueError):
        return None


def extent(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, strides and offset, in elements; contiguous where the layout knows no strides, flat where no sizes."""
    plain = tensor if type(tensor) in _PLAIN else without_class(tensor)
    shape = tuple(plain.shape) if _has_numbers_of(plain) else (int(plain.numel()),)
    if plain.layout is torch.strided and len(shape) == plain.dim():
        return shape, tuple(plain.stride()), int(plain.storage_offset())
    return shape, tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape))), 0


def end(plain: Tensor) -> int:
    """Number of elements of its memory that a strided tensor reaches over, its offset included."""
    if plain.numel() == 0:
        return 0
    steps = zip(plain.shape, plain.stride(), strict=True)
    return int(plain.storage_offset()) + 1 + sum((size - 1) * step for size, step in steps)


def is_allocated(plain: Tensor) -> bool:
    """Whether a strided tensor has memory for every element: some frameworks free it between uses."""
    return plain.is_meta or plain.untyped_storage().nbytes() >= end(plain) * plain.element_size()


def overlaps_itself(plain: Tensor) -> bool:
    """Whether elements of a strided tensor share memory, as those of an expanded one do."""
    if plain.is_contiguous():
        return False
    axes = sorted((step, size) for step, size in zip(plain.stride(), plain.shape, strict=True) if size != 1)
    if plain.numel() == 0 or not axes:
        return False
    reach = 0
    for step, size in axes:
        if step <= reach:
            break
        reach += step * (size - 1)
    else:
        return False
    if axes[0][0] == 0:
        return True
    # Interleaved axes may still be apart: (2, 2) with strides (3, 2) touches 0, 2, 3, 5.
    places = torch.zeros(end(plain), dtype=torch.bool, device="cpu")
    places.as_strided(plain.shape, plain.stride(), int(plain.storage_offset())).fill_(True)
    return int(places.sum()) < plain.numel()


def holds_reals(dtype: torch.dtype) -> bool:
    """Whether elements are single real numbers of either sign: no integers, powers of two or packed pairs."""
    if not dtype.is_floating_point:
        return False
    try:
        limits = torch.finfo(dtype)
        return limits.min < 0 < limits.max
    except (RuntimeError, TypeError, NotImplementedError):
        return False


def digest_of_state(state: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of a module's state: names, kinds, shapes and numbers; of what is no tensor its name."""
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(f"{name}\0".encode())
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
