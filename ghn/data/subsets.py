"""Balanced draws of labelled images, shared by data sets in memory and on disk."""

from __future__ import annotations

import torch
from torch import Tensor

from ghn.data.errors import DataError


def split_hold_out(labels: Tensor, count: int, *, seed: int, name: str) -> tuple[Tensor, Tensor]:
    """Indices to train on and indices held out, both ascending, the same share of every class held out.

    Args:
        labels: (N,) int64.
        count: Images to hold out; 0 holds out none.
        seed: Governs which.
        name: Name of the data set, for the error.

    Raises:
        DataError: When fewer than one image would be left to train on.
    """
    if not 0 <= count < len(labels):
        raise DataError(f"{count} of {len(labels)} images cannot be held out of {name}; ask for fewer")
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[balanced(labels, count, seed)] = True
    return torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()


def few_shot(labels: Tensor, count: int, *, seed: int, name: str) -> Tensor:
    """Ascending indices of `count` images, the classes as equally often as they can be.

    Raises:
        DataError: When there are fewer.
    """
    if not 0 < count <= len(labels):
        raise DataError(f"{count} images were asked for, {name} has {len(labels)}; ask for 1..{len(labels)}")
    return balanced(labels, count, seed).sort().values


def balanced(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices of `count` images, drawn class by class in turn."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels.cpu()[order]
    rank_in_class = torch.empty_like(shuffled)
    for label in shuffled.unique():
        mine = torch.nonzero(shuffled == label).flatten()
        rank_in_class[mine] = torch.arange(len(mine))
    return order[torch.argsort(rank_in_class, stable=True)[:count]]
