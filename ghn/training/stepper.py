"""What a training asks of what is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

Work = TypeVar("Work")
"""What one step works on: a batch of images, a meta-batch of networks with their images."""

WorkIn = TypeVar("WorkIn", contravariant=True)

COUNTED = ("units", "out_of_memory", "stop", "elapsed")
"""What every step adds up over ranks, besides a stepper's own sums."""


class Tally:
    """What one rank's part of a step adds up to; the trainer sums it over ranks.

    Attributes:
        names: Of the stepper's sums, then `COUNTED`.
        values: (len(names),) float32 on the ranks' device.
        seconds: By part of the step.
        scale: Factor on the loss in the gradient: one over the step's units, times the loss scale of float16.
        step: Number of the step, from 0 on.
        clock: Gives the time in seconds; on a GPU it waits for what was launched, where the step is timed.
    """

    def __init__(
        self,
        sums: Sequence[str],
        parts: Sequence[str],
        *,
        scale: float,
        step: int,
        clock: Callable[[], float],
        device: torch.device,
    ) -> None:
        self.names = (*sums, *COUNTED)
        self.values = torch.zeros(len(self.names), device=device)
        self.seconds = dict.fromkeys(parts, 0.0)
        self.scale, self.step, self.clock = scale, step, clock

    def add(self, *sums: Tensor, units: int = 1) -> None:
        """Add what some units gave: the stepper's sums in their order, each a scalar summed over these units."""
        assert len(sums) + len(COUNTED) == len(self.names), f"{len(sums)} sums for {self.names}"
        self.values[: len(sums) + 1] += torch.stack([*sums, self.values.new_full((), units)])

    def lack_memory(self, units: int) -> None:
        """Count units that lacked memory."""
        self.values[self.names.index("out_of_memory")] += units

    def spoil(self) -> None:
        """Let all ranks skip the step: a part of the gradient is there and a part is not."""
        self.values[0] = torch.nan

    def set(self, name: str, value: float) -> None:
        """Set one of `COUNTED`."""
        self.values[self.names.index(name)] = value

    def read(self) -> dict[str, float]:
        """The values by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))


class Stepper(Protocol[WorkIn]):
    """What is trained, and how a step's gradient comes about. A step is a mean over units (networks, images).

    Attributes:
        module: Its parameters that require a gradient are trained.
        key: Name of the module's weights in a saved state.
        units: Units in a step, over all ranks.
        unit: What they are, in the plural, for messages.
        memory_advice: What to do where units lack memory, in the imperative.
        sums: What it adds up over units: `loss` first. Means of them are logged; one that is not finite skips the step.
        parts: Names of the parts whose seconds are logged.
        partial: Whether some parameters may have no part in a step; their gradient is zero then, and not missing.
    """

    module: nn.Module
    key: str
    units: int
    unit: str
    memory_advice: str
    sums: tuple[str, ...]
    parts: tuple[str, ...]
    partial: bool

    def gradient(self, work: WorkIn, tally: Tally) -> None:
        """Add this rank's part of the gradient, times `tally.scale`, to the parameters' `.grad`, and fill the tally."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides the module's weights: tensors and plain values."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
