"""What the first layer of a network looks for in images: its filters, as pictures.

Source: GHN-3 (Knyazev et al., ICML 2023), figure 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from ghn.analysis.diversity import distances_between
from ghn.analysis.layers import Application
from ghn.analysis.networks import Batch, Networks
from ghn.analysis.records import Record, records
from ghn.analysis.zero_cost.network import Network
from ghn.common.modules import named_parameters

ALIKE = 0.01
"""1 − |cos| up to which two filters count as the same."""


def first_filters(model: nn.Module, batch: Batch) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The filters of the first convolution of images.

    Args:
        model: Any module; it stays as it is.
        batch: Images (B, 3, H, W) and labels, which are not looked at.

    Returns:
        Plain values: `layer` (its weight's name), `filters` (their number), `distinct` (how many are left when of those
        alike, up to sign and size, only one is kept) and `distance`, the mean of 1 − |cos| over pairs; and the weight
        (O, 3, h, w) as `filters`.

    Raises:
        ValueError: If no convolution reads images: networks that embed patches by a linear layer have no filters.
    """
    found: list[str] = []
    network = Network(model, batch)
    channels = network.images.shape[1]
    weights = named_parameters(model)

    def look(one: Application) -> None:
        shape = weights[one.name].shape
        if len(shape) == 4 and shape[1] == channels and max(shape[2:]) > 1:
            found.append(one.name)

    network.watch(network.images, look)
    if not found:
        raise ValueError(f"{type(model).__name__} has no convolution of images with {channels} channels to show")
    filters = weights[found[0]].detach().float().cpu().clone()
    distances = distances_between(list(filters))
    pairs = distances[np.triu_indices(len(filters), 1)]
    values = {
        "layer": found[0],
        "filters": len(filters),
        "distinct": _distinct(distances),
        "distance": float(pairs.mean()) if len(pairs) else 0.0,
    }
    return values, {"filters": filters}


def _distinct(distances: Any) -> int:
    kept: list[int] = []
    for number in range(len(distances)):
        if all(distances[number, other] > ALIKE for other in kept):
            kept.append(number)
    return len(kept)


def filter_records(
    networks: Networks, *, folder: str | Path | None = None, progress: Callable[[Record], None] | None = None
) -> list[Record]:
    """First filters of every network from every start; see `ghn.analysis.records.records`."""

    def measure(model: nn.Module, batch: Batch) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
        return first_filters(model, batch)

    return list(records(networks, "filters", measure, folder=folder, progress=progress))
