"""One step of training a single network on a batch of images.

Legend: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.evaluate.accuracy import scores_of
from ghn.finetuning.mixing import Mix
from ghn.training.config import TrainingConfig
from ghn.training.memory import unless_out_of_memory
from ghn.training.precision import autocast
from ghn.training.stepper import Tally


class NetworkStepper:
    """Training of a classifier as `ghn.training.stepper.Stepper`: a unit is an image.

    Args:
        config: The run.
        network: What is trained; its outputs (or the first of them) are scores (B, C).
        batch_size: B, images in a step, over all processes.
        mix: Mixes the images of a batch and their labels; None for none.
        rank: Number of this process: what the network drops at random differs between processes.
        around: Context of every forward pass.

    Attributes:
        losses: Of the steps made so far; part of the state.
        history: What was found of the network on the way, plain values; part of the state.
    """

    key = "network"
    unit = "images"
    memory_advice = "take smaller batches"
    sums: tuple[str, ...] = ("loss", "accuracy")
    parts: tuple[str, ...] = ("forward", "backward")
    partial = False

    def __init__(
        self,
        config: TrainingConfig,
        network: nn.Module,
        batch_size: int,
        *,
        mix: Mix | None = None,
        rank: int = 0,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.config, self.module, self.units = config, network, batch_size
        self.mix, self.rank, self.around = mix, rank, around
        self.losses: list[float] = []
        self.history: list[dict[str, Any]] = []

    def gradient(self, work: tuple[Tensor, Tensor], tally: Tally) -> None:
        """Add the gradient of the mean cross-entropy; images (B, 3, H, W), labels (B,) int64."""
        # Draws depend on the step only, not on what ran before it was resumed.
        seed = self.config.seed * 1_000_003 + tally.step
        torch.manual_seed(seed)
        images, labels = work if self.mix is None else self.mix(*work)
        if self.rank:
            torch.manual_seed((self.rank << 40) + seed)
        if unless_out_of_memory(self._pass, images, labels, tally) is None:
            tally.spoil()
            tally.lack_memory(len(labels))

    def _pass(self, images: Tensor, labels: Tensor, tally: Tally) -> bool:
        began = tally.clock()
        with autocast(images.device, self.config.precision), self.around():
            scores_BC = scores_of(self.module(images))
        loss = functional.cross_entropy(scores_BC.float(), labels, label_smoothing=self.config.label_smoothing)
        forward_done = tally.clock()
        count = len(labels)
        (loss * (count * tally.scale)).backward()
        classes = labels if labels.dim() == 1 else labels.argmax(dim=1)
        right = (scores_BC.argmax(dim=1) == classes).float().sum()
        tally.add(loss.detach() * count, right, units=count)
        tally.seconds["forward"] += forward_done - began
        tally.seconds["backward"] += tally.clock() - forward_done
        return True

    def state_dict(self) -> dict[str, Any]:
        """The losses and the history so far."""
        return {"losses": list(self.losses), "history": [dict(point) for point in self.history]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.losses = list(state["losses"])
        self.history = [dict(point) for point in state["history"]]
