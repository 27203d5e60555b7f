"""Noise on parameters, which breaks the symmetry of tiled copies: on all, or on those that hold copies.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3): β = 1e-5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ghn.common.modules import named_parameters
from ghn.initializers.layers import Layers
from ghn.initializers.report import Batch, StartReport

STREAM = 0x6E6F_6973_65
"""Of random numbers: that of noise."""


@torch.no_grad()
def add_noise(
    network: nn.Module, beta: float, *, relative: bool = False, seed: int = 0, frozen: bool = True
) -> dict[str, str]:
    """Add N(0, β²) to all floating-point parameters, in place; the process's random state is not touched.

    Args:
        network: Whose parameters.
        beta: β.
        relative: β is a factor on each parameter's own standard deviation.
        seed: Governs what is drawn.
        frozen: Whether parameters that require no gradient get noise as well.

    Returns:
        Names of the parameters that are left, each with the reason.
    """
    generator = _generator(seed)
    kept = {}
    for name, parameter in named_parameters(network).items():
        if not parameter.is_floating_point():
            kept[name] = "it holds no real numbers"
            continue
        if not frozen and not parameter.requires_grad:
            kept[name] = "it is frozen"
            continue
        _add(parameter, beta, relative=relative, generator=generator)
    return kept


@torch.no_grad()
def part_copies(layers: Layers, beta: float, *, seed: int = 0) -> list[str]:
    """Add N(0, (βσ)²) to weights that hold copies, in place: those in which output or input channels are equal.

    A hypernetwork tiles what it predicts for up to 64 channels over all others. Channels that are equal get equal
    gradients, and stay equal.

    Args:
        layers: A model's weights.
        beta: β, a factor on the standard deviation σ of each weight.
        seed: Governs what is drawn.

    Returns:
        Names of the weights that got noise.
    """
    generator = _generator(seed)
    changed = []
    for layer in layers.weights:
        stacked = layer.weight.flatten(0, layer.spec.stack - 1) if layer.spec.stack else [layer.weight]
        if any(has_copies(weight) or has_copies(weight.transpose(0, 1)) for weight in stacked):
            _add(layer.weight, beta, relative=True, generator=generator)
            changed.append(layer.name)
    return changed


def has_copies(weight: Tensor) -> bool:
    """Whether two slices along the first axis of a weight (O, I, ...) are equal, and not constant.

    Decided by one projection of each, drawn at random.
    """
    rows = weight.detach().flatten(1).double() if weight.dim() > 1 else weight.detach()[:, None].double()
    if len(rows) < 2 or rows.shape[1] < 2:
        # A depthwise filter of one number, or a column: equal numbers are no copies of channels.
        return False
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(rows.shape[1], generator=generator, dtype=torch.float64).to(rows.device)
    varied = rows.std(1, correction=0) > 0
    projected = (rows @ direction)[varied].sort().values
    scale = float(rows.norm(dim=1).max()) if rows.numel() else 0.0
    return bool((projected.diff() <= 1e-10 * scale).any())


def _generator(seed: int) -> torch.Generator:
    """Not the numbers that a model drew when it was built with the same seed."""
    return torch.Generator().manual_seed((seed ^ STREAM) & 0x7FFF_FFFF_FFFF_FFFF)


def _add(tensor: Tensor, beta: float, *, relative: bool, generator: torch.Generator) -> None:
    drawn = torch.randn(tensor.shape, generator=generator, device="cpu")
    if relative:
        beta *= float(tensor.float().std(correction=0)) if tensor.numel() else 0.0
    tensor.add_(drawn.to(tensor), alpha=beta)


class Noise:
    """The step `+noise` of a chain: see `add_noise`.

    Args:
        amount: β, or β and "rel", e.g. "0.3rel"; 1e-5 by default.
    """

    needs_images = 0

    def __init__(self, amount: str | None = None) -> None:
        text = "1e-5" if amount is None else amount
        self.relative = text.endswith("rel")
        try:
            self.beta = float(text.removesuffix("rel"))
        except ValueError:
            self.beta = math.nan
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"noise takes an amount such as 1e-5, or relative such as 0.3rel, not {text!r}")
        self.name = f"noise:{text}"

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Add the noise."""
        kept = add_noise(model, self.beta, relative=self.relative, seed=seed)
        changed = tuple(name for name in named_parameters(model) if name not in kept)
        return StartReport(name=self.name, changed=changed, kept=kept)
