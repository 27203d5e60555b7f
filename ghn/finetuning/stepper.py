"""One step of training a single network on a batch of images.

Legend: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.training.config import TrainingConfig
from ghn.training.memory import unless_out_of_memory
from ghn.training.precision import autocast
from ghn.training.stepper import Tally


class NetworkStepper:
    """Training of a classifier as `ghn.training.stepper.Stepper`: a unit is an image.

    Args:
        config: The run.
        network: What is trained; its outputs (or the first of them) are scores (B, C).
        batch_size: B, images in a step.

    Attributes:
        losses: Of the steps made so far; part of the state.
    """

    key = "network"
    unit = "images"
    memory_advice = "take smaller batches"
    sums: tuple[str, ...] = ("loss", "accuracy")
    parts: tuple[str, ...] = ("forward", "backward")
    partial = False

    def __init__(self, config: TrainingConfig, network: nn.Module, batch_size: int) -> None:
        self.config, self.module, self.units = config, network, batch_size
        self.losses: list[float] = []

    def gradient(self, work: tuple[Tensor, Tensor], tally: Tally) -> None:
        """Add the gradient of the mean cross-entropy; images (B, 3, H, W), labels (B,) int64."""
        # Draws inside the network (dropout) depend on the step only, not on what ran before it was resumed.
        torch.manual_seed(self.config.seed * 1_000_003 + tally.step)
        if unless_out_of_memory(self._pass, *work, tally) is None:
            tally.spoil()
            tally.lack_memory(len(work[1]))

    def _pass(self, images: Tensor, labels: Tensor, tally: Tally) -> bool:
        began = tally.clock()
        with autocast(images.device, self.config.precision):
            scores_BC = self.module(images)
        if isinstance(scores_BC, tuple):
            scores_BC = scores_BC[0]
        loss = functional.cross_entropy(scores_BC.float(), labels, label_smoothing=self.config.label_smoothing)
        forward_done = tally.clock()
        count = len(labels)
        (loss * (count * tally.scale)).backward()
        right = (scores_BC.argmax(dim=1) == labels).float().sum()
        tally.add(loss.detach() * count, right, units=count)
        tally.seconds["forward"] += forward_done - began
        tally.seconds["backward"] += tally.clock() - forward_done
        return True

    def state_dict(self) -> dict[str, Any]:
        """The losses so far."""
        return {"losses": list(self.losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.losses = list(state["losses"])
