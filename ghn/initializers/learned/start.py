"""What the starts that learn scales have in common: steps, judgement, report."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ghn.common.modules import named_parameters
from ghn.initializers.layers import Layers, layers_of
from ghn.initializers.learned.network import ScaledNetwork, differentiable
from ghn.initializers.report import Batch, StartReport, some_images

IMAGES = 8


@dataclass(frozen=True)
class Judgement:
    """How good scales are, by one batch.

    Attributes:
        objective: To be made small.
        excess: By how much the gradient norm is above its bound; 0 within it.
        text: Both in words.
    """

    objective: float
    excess: float
    text: str

    @property
    def is_finite(self) -> bool:
        """Whether both are numbers."""
        return math.isfinite(self.objective) and math.isfinite(self.excess)

    def is_better_than(self, other: Judgement) -> bool:
        """Whether the bound is kept better, or as well and the objective is smaller."""
        return self.is_finite and (self.excess, self.objective) < (other.excess, other.objective)


class LearnedStart(ABC):
    """Learns a scale for each tensor of a model, which keeps its directions.

    The first batch judges: scales that are not better than none are not taken. Scales are positive throughout.

    Args:
        name: As `ghn.initializers.create` takes it.
        steps: Updates of the scales.
    """

    needs_images = IMAGES

    def __init__(self, name: str, steps: int) -> None:
        self.name, self.steps = name, steps

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Learn the scales and set the model's parameters in place; a model that this cannot be done for stays.

        Raises:
            ValueError: If there are too few images, the model fails or is no classifier, some operator has no second
                derivative, or the loss is not finite.
        """
        given = self.batches(model, None if batches is None else list(batches), seed)
        layers = layers_of(model, given)
        network = ScaledNetwork(self.name, model, self.learned(layers))
        others = [key for key in named_parameters(model) if key not in network.scales]
        kept = {key: layers.kept.get(key, "its scale is not learned") for key in others} | network.kept
        if not network.scales:
            return StartReport(name=self.name, changed=(), kept=kept, notes=("it has nothing to scale",))
        with differentiable(model, seed):
            before = self.judge(network, given)
            if not before.is_finite:
                raise ValueError(f"{self.name} cannot start: the model's loss or gradient is not finite")
            notes = self._learn(network, given)
            after = self.judge(network, given)
        if not after.is_better_than(before):
            notes.append(f"the model stays: {after.text} with the scales, {before.text} without")
            kept |= dict.fromkeys(network.scales, "no better scale was found")
            return StartReport(name=self.name, changed=(), kept=kept, notes=tuple(notes))
        network.write()
        values = {key: float(scale.detach()) for key, scale in network.scales.items()}
        kept |= {key: "its scale stays 1: nothing depends on it" for key, value in values.items() if value == 1}
        notes = [
            f"{before.text} before, {after.text} after {self.steps} steps",
            f"scales from {min(values.values()):.3g} to {max(values.values()):.3g}",
            *notes,
        ]
        changed = tuple(key for key in values if key not in kept)
        return StartReport(name=self.name, changed=changed, kept=kept, notes=tuple(notes))

    def batches(self, model: nn.Module, given: Sequence[Batch] | None, seed: int) -> Sequence[Batch]:
        """What to learn from."""
        return some_images(given, self.needs_images, self.name)

    def learned(self, layers: Layers) -> Sequence[str] | None:
        """The parameters that get a scale; None for all that are trained."""
        return None

    @abstractmethod
    def judge(self, network: ScaledNetwork, batches: Sequence[Batch]) -> Judgement:
        """How good the scales are, by the first batch."""

    @abstractmethod
    def step(self, network: ScaledNetwork, batches: Sequence[Batch], index: int) -> bool:
        """Update the scales; returns whether all that was computed is finite, else they stay."""

    @abstractmethod
    def restart(self, network: ScaledNetwork) -> None:
        """Forget what former calls left, before the first step."""

    def finish(self, network: ScaledNetwork, batches: Sequence[Batch]) -> list[str]:
        """What is left to do after the last step; returns what there is to say."""
        return []

    def _learn(self, network: ScaledNetwork, batches: Sequence[Batch]) -> list[str]:
        self.restart(network)
        for index in range(self.steps):
            if not self.step(network, batches, index):
                return [f"step {index + 1} was not finite: the scales are those before it"]
        return self.finish(network, batches)


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all elements of all tensors are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
