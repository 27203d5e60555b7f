"""Layer-sequential unit-variance initialisation: of all layers, or of those whose activations explode or vanish.

Source: Mishkin & Matas, All You Need Is a Good Init, ICLR 2016, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ghn.batch_norm import device_of, running
from ghn.common.modules import named_parameters
from ghn.initializers.layers import Layers, layers_of
from ghn.initializers.report import Batch, StartReport, some_images
from ghn.initializers.simple import orthogonal
from ghn.initializers.watch import FoundError, first_use, watch

TOLERANCE, MOST_TRIALS = 0.1, 10
"""Of the variance, and forward passes for each layer (as published)."""

IMAGES = 8

USUAL = (1e-4, 1e4)
"""Variances of what a layer computes that neither explodes nor vanishes."""


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


@torch.no_grad()
def tame(model: nn.Module, layers: Layers, images: Tensor, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Bring to unit variance, in place, what layers compute where it explodes or vanishes, in the order of the data.

    One forward pass where nothing does, and a few for each layer where it does. Heads stay: their scale is none of the
    features. So do layers of zeros, as at the ends of residual branches.

    Args:
        model: The model.
        layers: Its layers.
        images: (B, 3, H, W), on the model's device.
        seed: Governs dropout.

    Returns:
        Names of the weights that were scaled, and what there is to say.
    """
    weights = {layer.name: layer.weight for layer in layers.weights if not layer.spec.head}
    parameters = named_parameters(model)
    watched = {name: parameters[name] for name in weights}
    found: list[tuple[str, float]] = []
    trials: dict[str, list[float]] = {}

    def look(name: str, _: Tensor, output: Tensor) -> None:
        variance = float(output.float().var(correction=0))
        if name in watched and variance != 0 and not USUAL[0] <= variance <= USUAL[1]:
            found.append((name, variance))
            raise FoundError

    with running(model, training=True):
        while True:
            # Whatever is drawn (dropout) is the same in each trial.
            torch.manual_seed(seed)
            found.clear()
            watch(model, watched, look, images)
            if not found:
                break
            name, variance = found[0]
            trials.setdefault(name, []).append(variance)
            if not math.isfinite(variance):
                break
            if len(trials[name]) == MOST_TRIALS:
                del watched[name]
            weights[name].div_(variance**0.5)
    changed = [name for name, seen in trials.items() if math.isfinite(seen[0])]
    notes = [f"{name}: the variance was {trials[name][0]:.3g}, and is 1 now" for name in changed]
    lost = [name for name, seen in trials.items() if not math.isfinite(seen[-1])]
    return changed, notes + [f"what {name} computes is not finite" for name in lost]
