"""Starts that need no data: the model's own, orthogonal weights, a hypernetwork's.

Sources: Saxe et al., ICLR 2014 (orthogonal); Xiao et al., ICML 2018 (delta-orthogonal); Knyazev et al., Pretraining a
Neural Network before Knowing Its Architecture, 2022 (orthogonalise).

Legend: O output channels, I input channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ghn.common.modules import named_parameters
from ghn.initializers.layers import layers_of
from ghn.initializers.report import Batch, StartReport
from ghn.model import DEFAULT, GHN, from_pretrained


class Default:
    """The parameters that the model has: its own initialisation."""

    name, needs_images = "default", 0

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Do nothing."""
        kept = dict.fromkeys(named_parameters(model), "the model's own initialisation")
        return StartReport(name=self.name, changed=(), kept=kept)


class Hypernetwork:
    """What a graph hypernetwork predicts, and statistics of batch norms from the images that it brings along.

    Args:
        source: As `ghn.from_pretrained` takes it, or a hypernetwork.
    """

    needs_images = 0

    def __init__(self, source: str | GHN | None = None) -> None:
        self.source = DEFAULT if source is None else source
        self.name = f"ghn:{self.source}" if isinstance(self.source, str) else "ghn"

    @property
    def files(self) -> list[Path]:
        """Those on disk that it is read from, where a folder or file is named."""
        place = Path(self.source).expanduser() if isinstance(self.source, str) else None
        if place is None or not place.exists():
            return []
        return sorted(file for file in place.iterdir() if file.is_file()) if place.is_dir() else [place]

    @cached_property
    def hypernet(self) -> GHN:
        """The hypernetwork, loaded when it is first needed."""
        return from_pretrained(self.source) if isinstance(self.source, str) else self.source

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Predict the parameters; what the hypernetwork cannot predict stays."""
        given = None if batches is None else next(iter(batches), None)
        images = None if given is None else given[0][:2]
        report = self.hypernet.initialize(model, images, seed=seed, statistics=True)
        assert report.statistics is not None
        notes = (
            f"{100 * report.fraction:.2f} % of all elements predicted",
            str(report.statistics),
        )
        kept = {name: str(reason) for name, reason in report.kept.items()}
        return StartReport(
            name=self.name, changed=(*report.predicted, *report.statistics.changed), kept=kept, notes=notes
        )


class EachWeight:
    """Sets every weight of a convolution or linear layer by itself, and each group of a convolution with groups.

    Args:
        name: Of the initialiser.
        change: Sets one weight (O, I, h, w...) in place, given a generator; it says why not where it does not.
    """

    needs_images = 0

    def __init__(self, name: str, change: Callable[[Tensor, torch.Generator], str | None]) -> None:
        self.name, self._change = name, change

    @torch.no_grad()
    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Set the weights."""
        layers = layers_of(model, None if batches is None else list(batches))
        generator = torch.Generator().manual_seed(seed)
        kept, changed = dict(layers.kept), []
        for layer in layers.weights:
            # Copies, for one that is left is left whole.
            made = [weight.clone() for weight in layer.matrices]
            reasons = {self._change(weight, generator) for weight in made}
            if reasons == {None}:
                for weight, new in zip(layer.matrices, made, strict=True):
                    weight.copy_(new)
                changed.append(layer.name)
            else:
                kept[layer.name] = str(next(filter(None, reasons)))
        return StartReport(name=self.name, changed=tuple(changed), kept=kept)


def orthogonal(weight: Tensor, generator: torch.Generator) -> None:
    """A weight whose rows, of I h w numbers, are orthonormal; its columns where there are more rows than columns."""
    drawn = torch.empty(len(weight), math.prod(weight.shape[1:]), dtype=torch.float32)
    nn.init.orthogonal_(drawn, generator=generator)
    weight.copy_(drawn.view(weight.shape))


def delta_orthogonal(weight: Tensor, generator: torch.Generator) -> str | None:
    """A kernel that is zero but in the middle, where it is orthogonal; linear layers are orthogonal."""
    out, inputs = weight.shape[:2]
    if out < inputs:
        # Orthonormal columns are what keeps norms; with fewer outputs there are none (Xiao et al., section 3.2).
        return f"delta-orthogonal kernels need at least as many outputs as inputs, here {out} and {inputs}"
    drawn = torch.empty(out, inputs, dtype=torch.float32)
    nn.init.orthogonal_(drawn, generator=generator)
    middle = tuple(size // 2 for size in weight.shape[2:])
    weight.zero_()
    for axis, position in enumerate(middle):
        weight = weight.narrow(2 + axis, position, 1)
    weight.copy_(drawn.view(weight.shape))
    return None


def orthogonalise(weight: Tensor, generator: torch.Generator) -> str | None:
    """The nearest matrix with orthonormal rows (columns), at the weight's own norm: U Vᵀ of its U S Vᵀ."""
    matrix = weight.reshape(len(weight), -1).float()
    if not bool(matrix.isfinite().all()):
        return "it is not finite"
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest = left @ right
    weight.copy_((nearest * (matrix.norm() / nearest.norm())).view(weight.shape))
    return None
