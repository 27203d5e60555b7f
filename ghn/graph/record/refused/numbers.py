"""Where numbers point: tokens into tables, labels to classes.

On the meta device there are none to be out of range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ghn.graph.record.refused.types import full_name

Pointers = Callable[..., Iterator[tuple[Any, int, int]]]
"""Of an operator's arguments: those that point, the lowest number that they may hold, and the first too high."""


def _rows(table: Tensor, index: Any, *_: Any) -> Iterator[tuple[Any, int, int]]:
    yield index, 0, table.shape[0]


def _along(x: Tensor, axis: int, index: Any, *_: Any) -> Iterator[tuple[Any, int, int]]:
    yield index, 0, x.shape[axis] if x.dim() else 1


def _anywhere(x: Tensor, index: Any, *_: Any) -> Iterator[tuple[Any, int, int]]:
    yield index, -x.numel(), x.numel()


def _axes(x: Tensor, indices: Sequence[Any], *_: Any) -> Iterator[tuple[Any, int, int]]:
    if any([index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices]):
        return  # a mask stands for as many axes as it has
    for index, size in zip(indices, x.shape):
        yield index, -size, size


def _labels(
    x: Tensor, labels: Any, weight: Any, reduction: int, ignored: int, *_: Any
) -> Iterator[tuple[Any, int, int]]:
    if type(labels) is Tensor and not labels.is_meta:
        yield labels[labels != ignored], 0, x.shape[1] if x.dim() > 1 else x.shape[0]


def _pointers() -> Iterator[tuple[Pointers, str]]:
    yield _rows, "embedding _embedding_bag _embedding_bag_forward_only"
    yield _along, "index_select gather scatter.value scatter.src scatter_.value scatter_.src scatter_add scatter_add_"
    yield _anywhere, "take"
    yield _axes, "index.Tensor index_put index_put_ _index_put_impl_"
    yield _labels, "nll_loss_forward nll_loss2d_forward"


POINTERS: Mapping[str, Pointers] = {full_name(name): rule for rule, names in _pointers() for name in names.split()}
"""Operator → what points where among its arguments."""
