"""Types that operators refuse together, for those that take them on the meta device.

What is not listed is left to PyTorch. Every rule is tested against PyTorch on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

Rule = Callable[..., bool]

_HALVES = (torch.float16, torch.bfloat16)


def _same(*positions: int) -> Rule:
    """Tensors at these positions are of one type."""

    def rule(*args: Any) -> bool:
        found = [args[at].dtype for at in positions if at < len(args) and isinstance(args[at], Tensor)]
        return all([dtype is found[0] for dtype in found])

    return rule


def _floating(x: Tensor, *_: Any) -> bool:
    return x.dtype.is_floating_point


def _same_floating(x: Tensor, other: Tensor, *_: Any) -> bool:
    return x.dtype.is_floating_point and x.dtype is other.dtype


def _inexact(x: Tensor, *_: Any) -> bool:
    return x.dtype.is_floating_point or x.dtype.is_complex


def _floating_or_bytes(x: Tensor, *_: Any) -> bool:
    return x.dtype.is_floating_point or x.dtype is torch.uint8


def _ordered(x: Tensor, *_: Any) -> bool:
    return x.dtype is not torch.bool and not x.dtype.is_complex


def _normalised(*positions: int) -> Rule:
    """Numbers of half precision may have weights and statistics, at these positions, of single precision."""

    def rule(*args: Any) -> bool:
        x = args[0].dtype
        others = {args[at].dtype for at in positions if isinstance(args[at], Tensor)}
        return x.is_floating_point and (others <= {x} or (x in _HALVES and others == {torch.float32}))

    return rule


def _written(target: Tensor, other: Any, *_: Any) -> bool:
    return torch.can_cast(torch.result_type(target, other), target.dtype)


def _divided(target: Tensor, other: Any, *_: Any) -> bool:
    return _inexact(target) and _written(target, other)


def _subtracted(x: Any, y: Any, *_: Any) -> bool:
    return all([tensor.dtype is not torch.bool for tensor in (x, y) if isinstance(tensor, Tensor)])


def _counted(x: Tensor, axis: int, index: Tensor, *_: Any) -> bool:
    return index.dtype in (torch.int64, torch.int32)


def _labelled(x: Tensor, labels: Tensor, *_: Any) -> bool:
    return x.dtype.is_floating_point and labels.dtype in (torch.int64, torch.uint8)


def _rules() -> Iterator[tuple[Rule, str]]:
    """Rules, and names of operators that they hold for."""
    yield _same(0, 1, 2), "addmm addbmm baddbmm"
    yield _same(1, 2), "addmv"
    yield _same(0, 1), "mm bmm mv dot convolution linalg_cross _cdist_forward"
    yield _same(0, 3), "index_add index_add_ index_copy index_copy_"
    yield _same(0, 2), "index_put index_put_ _index_put_impl_"
    yield _same_floating, "_prelu_kernel grid_sampler_2d grid_sampler_3d binary_cross_entropy"
    yield _normalised(1, 2, 3, 4), "native_batch_norm _native_batch_norm_legit"
    yield _normalised(1, 2), "native_group_norm"
    yield _normalised(2, 3), "native_layer_norm"
    yield _floating, "_softmax _safe_softmax _log_softmax gelu gelu_ celu celu_ glu hardshrink hardsigmoid hardsigmoid_"
    yield _floating, "hardswish hardswish_ mish mish_ softplus log_sigmoid_forward"
    yield _floating, "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d"
    yield _inexact, "silu silu_ var.correction std.correction var_mean.correction std_mean.correction"
    yield _floating_or_bytes, "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d"
    yield _ordered, "relu relu_ avg_pool2d avg_pool3d max_pool2d_with_indices max_pool3d_with_indices argmax topk"
    yield _written, "add_.Tensor sub_.Tensor mul_.Tensor"
    yield _divided, "div_.Tensor"
    yield _subtracted, "sub.Tensor"
    yield _counted, "index_select"
    yield _labelled, "nll_loss_forward nll_loss2d_forward"


def full_name(name: str) -> str:
    """Operator as `str` gives it, of its name, with an overload if that is not the default."""
    return f"aten.{name}" if "." in name else f"aten.{name}.default"


TYPES: Mapping[str, Rule] = {full_name(name): rule for rule, names in _rules() for name in names.split()}
"""Operator, as `str` gives it → whether the types of its arguments go together."""
