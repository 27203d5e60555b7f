"""MetaInit: norms of weights with which the gradient changes least along itself.

Source: Dauphin & Schoenholz, MetaInit: Initializing Learning by Learning to Initialize, NeurIPS 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Literal

import torch
from torch import Tensor, nn

from ghn.common.settings import POSITIVE, Settings, at_least
from ghn.graph.run.inputs import candidate_inputs
from ghn.initializers.layers import Layers
from ghn.initializers.learned.network import LEAST_SCALE, ScaledNetwork
from ghn.initializers.learned.start import IMAGES, Judgement, LearnedStart, are_finite
from ghn.initializers.options import read_options
from ghn.initializers.report import Batch

EPSILON = 1e-5
"""What keeps the quotient's denominator from zero, with the sign of the gradient (section 3)."""


JUDGES = 4
"""Batches of noise that judge: quotients differ much from one to the other."""


@dataclass(frozen=True, kw_only=True)
class MetaInitSettings(Settings):
    """Defaults as published (section 4).

    Attributes:
        steps: Updates of the norms.
        lr: Change of a norm in a step, without momentum.
        momentum: Of the changes.
        data: Standard normal noise with random labels, anew in each step, or the images that are given.
    """

    steps: int = field(default=500, metadata=at_least(1))
    lr: float = field(default=0.1, metadata=POSITIVE)
    momentum: float = field(default=0.9, metadata={"share": True})
    data: Literal["noise", "images"] = "noise"


class MetaInit(LearnedStart):
    """Minimises the gradient quotient over the norms of the layers' weights, by signed descent with momentum.

    Without batches it takes noise of the size of the images that the model says it takes.

    Args:
        argument: Settings as `steps=500,lr=0.1,momentum=0.9,images`.
    """

    def __init__(self, argument: str | None = None) -> None:
        self.settings = read_options("metainit", MetaInitSettings, argument)
        super().__init__("metainit" if argument is None else f"metainit:{argument}", self.settings.steps)
        self.needs_images = IMAGES if self.settings.data == "images" else 0
        self._changes: dict[str, float] = {}
        self._seed = 0

    def batches(self, model: nn.Module, given: Sequence[Batch] | None, seed: int) -> Sequence[Batch]:
        """The batches that are given, which lend noise their sizes."""
        self._seed = seed
        if self.settings.data == "images" or given:
            return super().batches(model, given, seed)
        images = candidate_inputs(model)[0].args[:1]
        if not images or images[0].dim() != 4 or not images[0].is_floating_point():
            raise ValueError(f"{self.name} does not know what images {type(model).__name__} takes; give it a batch")
        zeros = torch.zeros(IMAGES, *images[0].shape[1:], dtype=images[0].dtype)
        return [(zeros, torch.zeros(IMAGES, dtype=torch.int64))]

    def learned(self, layers: Layers) -> Sequence[str]:
        """Weights of layers."""
        return [layer.name for layer in layers.weights]

    def restart(self, network: ScaledNetwork) -> None:
        """No momentum at first."""
        self._changes = dict.fromkeys(network.scales, 0.0)

    def judge(self, network: ScaledNetwork, batches: Sequence[Batch]) -> Judgement:
        """The gradient quotient: that of the first batch, or the mean of several of noise."""
        # No step is numbered so.
        indices = range(-JUDGES, 0) if self.settings.data == "noise" else range(1)
        quotient = mean(float(self._quotient(network, batches, index).detach()) for index in indices)
        return Judgement(quotient, 0.0, f"gradient quotient {quotient:.4g}")

    def step(self, network: ScaledNetwork, batches: Sequence[Batch], index: int) -> bool:
        """Change each norm by the sign of the quotient's derivative."""
        quotient = self._quotient(network, batches, index)
        slopes = network.slopes(quotient)
        if not are_finite([quotient, *slopes.values()]):
            return False
        for key, scale in network.scales.items():
            change = self.settings.momentum * self._changes[key] - self.settings.lr * float(slopes[key].sign())
            self._changes[key] = change
            with torch.no_grad():
                # The sign of the derivative by the scale is that by the norm.
                norm = network.norm(key)
                scale.mul_((norm + change) / norm).clamp_(min=LEAST_SCALE)
        return True

    def _quotient(self, network: ScaledNetwork, batches: Sequence[Batch], index: int) -> Tensor:
        tensors = network.tensors()
        batch = batches[max(index, 0) % len(batches)]
        if self.settings.data == "noise":
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + index + JUDGES)
            images = torch.randn(batch[0].shape, generator=generator).to(batch[0])
            with torch.no_grad():
                classes = network.scores(tensors, images).shape[1]
            batch = images, torch.randint(classes, (len(images),), generator=generator)
        gradients = network.gradients(network.loss(tensors, batch), tensors)
        # H g, as the derivative of half the gradient's square.
        energy = torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum() / 2
        products = network.gradients(energy, tensors) if energy.requires_grad else {}
        return gradient_quotient(
            list(gradients.values()), [products.get(key, torch.zeros_like(gradients[key])) for key in gradients]
        )


def gradient_quotient(gradients: Sequence[Tensor], products: Sequence[Tensor]) -> Tensor:
    """‖(g - H g) / (g + ε) - 1‖₁ / N of the gradient g of N parameters, with the products H g (equation 1)."""
    total = sum(gradient.numel() for gradient in gradients)
    deviations = []
    for g, Hg in zip(gradients, products, strict=True):
        epsilon = torch.where(g.detach() >= 0, EPSILON, -EPSILON)
        deviations.append(((g - Hg) / (g + epsilon) - 1).abs().sum())
    return torch.stack(deviations).sum() / total
