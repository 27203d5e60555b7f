"""How large activations are, layer by layer: where a start lets them explode or vanish.

Source: GHN-3 (Knyazev et al., ICML 2023), figures 6 and 9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ghn.analysis.layers import Application
from ghn.analysis.networks import Batch, Networks
from ghn.analysis.records import Record, records
from ghn.analysis.zero_cost.network import Network

EXPLODES, VANISHES = 1e4, 1e-4
"""Variances beyond which activations are said to have exploded or vanished."""


def variances(model: nn.Module, batch: Batch, seed: int = 0) -> dict[str, list[Any]]:
    """Variance of what each layer gives, over a whole batch.

    A layer is a product of data and a weight (convolutions, linear layers, projections of attention), and what it gives
    is looked at before anything follows. The model runs as it is trained, but with nothing dropped.

    Args:
        model: Any module; it stays as it is.
        batch: Images (B, 3, H, W) and labels, which are not looked at.
        seed: Governs what the model draws.

    Returns:
        `layers`, names of weights in the order of the forward pass, and `variances`, None where one is not finite.

    Raises:
        ValueError: If the model has no layers.
    """
    names: list[str] = []
    found: list[float | None] = []

    def look(one: Application) -> None:
        names.append(one.name)
        output = one.output.detach()
        variance = float(output.to(torch.complex128 if output.is_complex() else torch.float64).var(correction=0))
        found.append(variance if math.isfinite(variance) else None)

    network = Network(model, batch, seed)
    network.watch(network.images, look)
    if not names:
        raise ValueError(f"{type(model).__name__} has no layer to look at")
    return {"layers": names, "variances": found}


def variance_records(
    networks: Networks, *, folder: str | Path | None = None, progress: Callable[[Record], None] | None = None
) -> list[Record]:
    """Variances of every network from every start; see `ghn.analysis.records.records`."""
    return list(records(networks, "variance", variances, folder=folder, progress=progress))


def sentence(values: Mapping[str, Sequence[Any]]) -> str:
    """Where activations explode or vanish, or between what they stay.

    Args:
        values: What `variances` gave.
    """
    layers, found = values["layers"], values["variances"]
    last = len(layers)
    for number, (name, variance) in enumerate(zip(layers, found, strict=True), 1):
        where = f"at {name}, layer {number} of {last}"
        if variance is None:
            return f"is not finite from {where} on" if number < last else f"is not finite {where}"
        if variance > EXPLODES:
            return f"explodes {where} ({variance:.2g})"
        if variance < VANISHES:
            return f"vanishes {where} ({variance:.2g})"
    least, most = min(found), max(found)
    return (
        f"stays between {least:.2g} ({layers[found.index(least)]}) and {most:.2g} ({layers[found.index(most)]}), "
        f"and ends at {found[-1]:.2g}"
    )
