"""Noise on parameters, which breaks the symmetry of tiled copies.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3): β = 1e-5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from ghn.common.modules import named_parameters
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
    # Not the numbers that a model drew when it was built with the same seed.
    generator = torch.Generator().manual_seed((seed ^ STREAM) & 0x7FFF_FFFF_FFFF_FFFF)
    kept = {}
    for name, parameter in named_parameters(network).items():
        if not parameter.is_floating_point():
            kept[name] = "it holds no real numbers"
            continue
        if not frozen and not parameter.requires_grad:
            kept[name] = "it is frozen"
            continue
        drawn = torch.randn(parameter.shape, generator=generator, device="cpu")
        scale = beta
        if relative:
            scale *= float(parameter.float().std(correction=0)) if parameter.numel() else 0.0
        parameter.add_(drawn.to(parameter), alpha=scale)
    return kept


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
