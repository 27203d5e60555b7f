"""Descent on an objective where the gradient norm keeps a bound, else on that norm."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ghn.common.settings import POSITIVE, Settings, at_least
from ghn.initializers.learned.network import LEAST_SCALE, ScaledNetwork
from ghn.initializers.learned.start import Judgement, LearnedStart, are_finite
from ghn.initializers.report import Batch

DECREASE = 0.1
"""What the first step of training is to gain at the bound, to first order (Zhu et al., 2021, section 4)."""


@dataclass(frozen=True, kw_only=True)
class BoundedSettings(Settings):
    """Of a start whose gradient norm is bounded.

    Attributes:
        optimizer: What the network will be trained with: it says in which norm the first step is steepest.
        steps: Updates of the scales.
        lr: Learning rate of the scales, for Adam.
        eta: Learning rate of the network's first step; 0.1 for SGD and 0.001 for Adam by default.
        gamma: Bound of the gradient norm; by default that at which the first step gains 0.1 to first order.
    """

    optimizer: Literal["sgd", "adam"] = "sgd"
    steps: int = field(default=100, metadata=at_least(1))
    lr: float = field(default=0.01, metadata=POSITIVE)
    eta: float | None = field(default=None, metadata=POSITIVE)
    gamma: float | None = field(default=None, metadata=POSITIVE)

    @property
    def power(self) -> int:
        """Of the norm: the 2-norm for SGD, the 1-norm for Adam, whose first step is the gradient's sign."""
        return 2 if self.optimizer == "sgd" else 1

    @property
    def rate(self) -> float:
        """η."""
        return self.eta or (0.1 if self.optimizer == "sgd" else 0.001)

    @property
    def bound(self) -> float:
        """γ."""
        # SGD gains η‖g‖₂², Adam η‖g‖₁.
        return self.gamma or (DECREASE / self.rate) ** (1 / self.power)


class BoundedStart(LearnedStart):
    """Learns scales by Adam: in each step either the norm descends, or the objective.

    Args:
        name: As `ghn.initializers.create` takes it.
        settings: Of the descent.
    """

    objective_name: str

    def __init__(self, name: str, settings: BoundedSettings) -> None:
        super().__init__(name, settings.steps)
        self.settings = settings
        self._descents: dict[bool, torch.optim.Adam] = {}

    @abstractmethod
    def problem(
        self, network: ScaledNetwork, batches: Sequence[Batch], index: int
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        """The gradient norm that is bounded, and what gives the objective, to be made small."""

    def shown(self, objective: float) -> float:
        """The objective as the paper writes it."""
        return objective

    def restart(self, network: ScaledNetwork) -> None:
        """An optimiser each for norm and objective, whose steps differ in size."""
        scales = list(network.scales.values())
        self._descents = {kind: torch.optim.Adam(scales, lr=self.settings.lr) for kind in (True, False)}

    def judge(self, network: ScaledNetwork, batches: Sequence[Batch]) -> Judgement:
        """Norm and objective of the first batch."""
        norm, objective = self.problem(network, batches, 0)
        value, found = float(objective().detach()), float(norm.detach())
        text = f"{self.objective_name} {self.shown(value):.4g} and gradient norm {found:.4g}"
        # A norm that is not a number must not count as one within the bound.
        excess = found - self.settings.bound
        return Judgement(value, excess if not excess <= 0 else 0.0, text)

    def step(self, network: ScaledNetwork, batches: Sequence[Batch], index: int) -> bool:
        """Make the norm smaller if it is above the bound, else the objective."""
        norm, objective = self.problem(network, batches, index)
        above = not float(norm.detach()) <= self.settings.bound
        return self._descend(network, norm if above else objective(), above)

    def finish(self, network: ScaledNetwork, batches: Sequence[Batch]) -> list[str]:
        """Make the norm of the first batch keep the bound, in at most as many steps again."""
        for _ in range(self.settings.steps):
            norm, _ = self.problem(network, batches, 0)
            if float(norm.detach()) <= self.settings.bound or not self._descend(network, norm, True):
                break
        norm, _ = self.problem(network, batches, 0)
        if float(norm.detach()) <= self.settings.bound:
            return [f"the gradient norm keeps its bound {self.settings.bound:g}"]
        return [f"the gradient norm is still above its bound {self.settings.bound:g}; take more steps"]

    def _descend(self, network: ScaledNetwork, value: Tensor, above: bool) -> bool:
        slopes = network.slopes(value)
        if not are_finite([value, *slopes.values()]):
            return False
        for key, scale in network.scales.items():
            scale.grad = slopes[key]
        self._descents[above].step()
        with torch.no_grad():
            for scale in network.scales.values():
                scale.clamp_(min=LEAST_SCALE)
        return True
