"""Draws of labelled images that mind the classes, shared by data sets in memory and on disk."""

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
        DataError: When a class would be left without an image to train on.
    """
    order, ranks, sizes = _deal(labels, seed)
    is_last = ranks == sizes - 1
    most = int((~is_last).sum())
    if not 0 <= count <= most:
        raise DataError(
            f"{count} of {len(labels)} images cannot be held out of {name}; "
            f"ask for 0..{most}, so that every class keeps one to train on"
        )
    # The first so many by these quotients are the share of each class, rounded (Webster's method).
    quotients = ((ranks + 0.5) / sizes).masked_fill(is_last, torch.inf)
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[order[torch.argsort(quotients, stable=True)[:count]]] = True
    return torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()


def few_shot(labels: Tensor, count: int, *, seed: int, name: str) -> Tensor:
    """Ascending indices of `count` images, the classes as equally often as they can be.

    Raises:
        DataError: When there are fewer.
    """
    if not 0 < count <= len(labels):
        raise DataError(f"{count} images were asked for, {name} has {len(labels)}; ask for 1..{len(labels)}")
    order, ranks, _ = _deal(labels, seed)
    return order[torch.argsort(ranks, stable=True)[:count]].sort().values


def _deal(labels: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """All images in a random order: index, rank among those of its class, and number of those, for each."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    _, classes, sizes = labels.cpu()[order].unique(return_inverse=True, return_counts=True)
    by_class = torch.argsort(classes, stable=True)
    ranks = torch.empty_like(order)
    ranks[by_class] = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[classes[by_class]]
    return order, ranks, sizes[classes]
