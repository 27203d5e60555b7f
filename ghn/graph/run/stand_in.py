"""Which tensor takes the place of a model's, or of an argument, while the model is traced.

=============================================  ==========================  ===========================
tensor                                         on meta                     on the CPU
=============================================  ==========================  ===========================
floating-point and complex                     no numbers                  its numbers
integers and masks                             its numbers, on the CPU     its numbers
without numbers (meta, freed memory)           no numbers                  zeros
sharded over processes (`DTensor`)             the whole, no numbers       the whole, zeros
replicated over processes                      the whole, no numbers       its numbers
sparse, wrapper subclasses                     dense, no numbers           its own class and layout
nested                                         its own class and layout    its own class and layout
lazy                                           lazy                        lazy
=============================================  ==========================  ===========================

Classes that only override functions (`__torch_function__`) and attributes set on a tensor stay. Where a class cannot be
copied, zeros of its shape take its place.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.sharded import is_replicated, is_sharded, local_part
from ghn.common.tensors import extent, has_dense_shape, is_allocated, is_opaque, memory, without_class

Place = Literal["meta", "cpu"]

_ORDINARY = (Tensor, nn.Parameter)


def stand_in(tensor: Tensor, device: Place) -> Tensor:
    """The tensor that takes the place of `tensor`, which is left as it is and shares no memory with it.

    Args:
        tensor: A parameter, buffer or argument of any class, layout and device.
        device: `meta` for one without numbers, except integers; `cpu` for one with numbers.

    Returns:
        A parameter if `tensor` is one.
    """
    if device == "meta" and _is_ordinary(tensor) and tensor.dtype.is_floating_point:
        return blank(tensor, device)
    if is_lazy(tensor):
        return _lazy_like(tensor, device)
    if not has_dense_shape(tensor):
        return _as_given(tensor, _copied(tensor))
    plain = without_class(tensor)
    if device == "meta" and (plain.is_floating_point() or plain.is_complex() or plain.is_meta):
        return blank(tensor, device)
    return _as_given(tensor, _numbers(tensor))


def blank(tensor: Tensor, device: Place) -> Tensor:
    """A dense tensor of the same shape, type and, if it has any, strides, whose numbers are not set.

    Args:
        tensor: Any but a lazy or nested one.
        device: Where.
    """
    shape, strides = (tensor.shape, tensor.stride()) if _is_ordinary(tensor) else extent(tensor)[:2]
    made = torch.empty_strided(shape, strides, dtype=without_class(tensor).dtype, device=device)
    return _as_given(tensor, made)


def comes_from_ranks(hook: Callable[..., Any]) -> bool:
    """Whether a hook is one by which PyTorch moves data between processes: stand-ins are whole and need none."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    return str(getattr(hook, "__module__", "")).startswith("torch.distributed.")


def moves_weights(hook: object) -> bool:
    """Whether what accelerate runs around a module (`_hf_hook`) is its own: it fetches weights that are kept elsewhere.

    A module's parameters lie on the meta device meanwhile, and others of their names take part for a while.
    """
    return type(hook).__module__.partition(".")[0] == "accelerate"


def _is_ordinary(tensor: Tensor) -> bool:
    """Whether nothing is special about the tensor, as about nearly all: the short way for speed."""
    return type(tensor) in _ORDINARY and tensor.layout is torch.strided and not tensor.is_nested


def _numbers(tensor: Tensor) -> Tensor:
    """A copy on the CPU; zeros where the tensor has no numbers, or only other processes do."""
    if is_sharded(tensor):
        local = local_part(tensor)
        return _numbers(local) if is_replicated(tensor) else _zeros(tensor)
    held = memory(tensor)
    if held is None:
        return _zeros(tensor) if tensor.is_meta else _copied(tensor)
    if held.is_meta or not is_allocated(held):
        return _zeros(tensor)
    return held.to("cpu", copy=True)


def _zeros(tensor: Tensor) -> Tensor:
    plain = without_class(tensor)
    return torch.zeros(plain.shape, dtype=plain.dtype, device="cpu")


def _copied(tensor: Tensor) -> Tensor:
    """A copy on the CPU, of the same class and layout where the class knows how, else dense, else zeros."""
    ways: tuple[Callable[[], Any], ...] = (
        lambda: tensor.detach().to("cpu", copy=True),
        lambda: tensor.detach().clone(),
        lambda: copy.deepcopy(tensor),
    )
    found: list[Tensor] = []
    for way in ways:
        try:
            copied = way()
        except Exception:
            # Whatever a user's class raises; another way may do.
            continue
        if isinstance(copied, Tensor):
            found.append(copied)
        if not is_opaque(tensor) or type(copied) is type(tensor):
            break
    return found[-1] if found else _zeros(tensor)


def _as_given(tensor: Tensor, made: Tensor) -> Tensor:
    """`made` as a parameter, or of the class of functions that `tensor` is of, with the attributes that it has."""
    if type(tensor) in _ORDINARY or is_opaque(tensor) or is_opaque(made):
        made = nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made
    else:
        needs_gradient = isinstance(tensor, nn.Parameter) and without_class(tensor).requires_grad
        made = made.as_subclass(type(tensor)).requires_grad_(needs_gradient)
    attributes = vars(tensor)
    if attributes and not is_opaque(tensor) and not is_opaque(made):
        vars(made).update(attributes)
    return made


def _lazy_like(tensor: Tensor, device: str) -> Tensor:
    kind: Any = type(tensor)
    return kind(requires_grad=tensor.requires_grad, device=device)
