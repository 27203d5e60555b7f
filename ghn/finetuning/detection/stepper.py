"""One step of training a detector of torchvision's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ghn.finetuning.detection.penn_fudan import Target
from ghn.training.config import TrainingConfig
from ghn.training.memory import unless_out_of_memory
from ghn.training.stepper import Tally

Batch = Sequence[tuple[Tensor, Target]]


class DetectorStepper:
    """Training of a detector as `ghn.training.stepper.Stepper`: a unit is an image.

    Args:
        config: The run.
        detector: In training mode gives its losses by name.
        batch_size: Images in a step.
    """

    key = "detector"
    unit = "images"
    memory_advice = "take smaller batches or images"
    sums: tuple[str, ...] = ("loss",)
    parts: tuple[str, ...] = ("step",)
    partial = True

    def __init__(self, config: TrainingConfig, detector: nn.Module, batch_size: int) -> None:
        self.config, self.module, self.units = config, detector, batch_size
        self.losses: list[float] = []

    def gradient(self, work: Batch, tally: Tally) -> None:
        """Add the gradient of the sum of the detector's losses."""
        # Proposals are drawn; draws depend on the step only, not on what ran before it was resumed.
        torch.manual_seed(self.config.seed * 1_000_003 + tally.step)
        if unless_out_of_memory(self._pass, work, tally) is None:
            tally.spoil()
            tally.lack_memory(len(work))

    def _pass(self, work: Batch, tally: Tally) -> bool:
        began = tally.clock()
        losses = self.module([image for image, _ in work], [dict(target) for _, target in work])
        loss = torch.stack(list(losses.values())).sum()
        (loss * (len(work) * tally.scale)).backward()
        tally.add(loss.detach() * len(work), units=len(work))
        tally.seconds["step"] += tally.clock() - began
        return True

    def state_dict(self) -> dict[str, Any]:
        """The losses so far."""
        return {"losses": list(self.losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.losses = list(state["losses"])
