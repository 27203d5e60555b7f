"""Layer-sequential unit-variance initialisation.

Source: Mishkin & Matas, All You Need Is a Good Init, ICLR 2016, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ghn.batch_norm import device_of, running
from ghn.initializers.layers import layers_of
from ghn.initializers.report import Batch, StartReport, some_images
from ghn.initializers.simple import orthogonal
from ghn.initializers.watch import first_use

TOLERANCE, MOST_TRIALS = 0.1, 10
"""Of the variance, and forward passes for each layer (as published)."""

IMAGES = 8


class UnitVariance:
    """Scales each layer's weight, in the order of the data, until what it computes from a batch has variance 1.

    Args:
        first: Whether weights are made orthonormal before (`lsuv`), or keep their directions (`unit-variance`).
    """

    needs_images = IMAGES

    def __init__(self, *, first: bool) -> None:
        self.first = first
        self.name = "lsuv" if first else "unit-variance"

    @torch.no_grad()
    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Set the weights by the first of the batches."""
        given = some_images(None if batches is None else list(batches), self.needs_images, self.name)
        layers = layers_of(model, given)
        images = given[0][0].to(device_of(model))
        generator = torch.Generator().manual_seed(seed)
        kept, changed, notes = dict(layers.kept), [], []
        if self.first:
            for layer in layers.weights:
                for weight in layer.matrices:
                    orthogonal(weight, generator)
        with running(model, training=True):
            for layer in layers.weights:
                variance = 0.0
                for _ in range(MOST_TRIALS):
                    # Whatever is drawn (dropout) is the same in each trial.
                    torch.manual_seed(seed)
                    seen = first_use(model, layer.name, images)
                    variance = float("nan") if seen is None else float(seen[1].float().var(correction=0))
                    if not 0 < variance < float("inf") or abs(variance - 1) < TOLERANCE:
                        break
                    layer.weight.div_(variance**0.5)
                if seen is None:
                    kept[layer.name] = "its use in the forward pass was not seen"
                elif not 0 < variance < float("inf"):
                    kept[layer.name] = f"the variance of what it computes is {variance:g}"
                else:
                    changed.append(layer.name)
                    if abs(variance - 1) >= TOLERANCE:
                        notes.append(f"{layer.name}: variance {variance:.3g} after {MOST_TRIALS} trials")
        return StartReport(name=self.name, changed=tuple(changed), kept=kept, notes=tuple(notes))
