"""One step of meta-training: the gradient of a hypernetwork over many target networks at once.

Source: GHN-3 (Knyazev et al., ICML 2023, eq. 10), GHN-2 (Knyazev et al., NeurIPS 2021, section 3.1).

Legend: m networks of a meta-batch, B images, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ghn.meta.config import MetaTrainingConfig
from ghn.meta.targets import Objective, Target, TargetResult, target_gradients
from ghn.training.memory import unless_out_of_memory
from ghn.training.precision import autocast
from ghn.training.ranks import Ranks
from ghn.training.stepper import Tally
from ghn.training.trainer import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaWork:
    """One rank's part of a meta-batch.

    Attributes:
        targets: Networks.
        batches: For each of them images (B, 3, H, W) float32 and labels (B,) int64.
    """

    targets: Sequence[Target]
    batches: Sequence[tuple[Tensor, Tensor]]


class MetaStepper:
    """Meta-training as `ghn.training.stepper.Stepper`: a unit is a target network.

    Args:
        config: The run.
        hypernet: What is trained, a module that maps graphs to one dict of predicted tensors each; on the ranks'
            device.
        ranks: The processes of the run.
    """

    key = "hypernet"
    unit = "networks"
    memory_advice = "lower accumulate"
    sums: tuple[str, ...] = ("loss", "accuracy", "penalty")
    parts: tuple[str, ...] = ("hypernet_forward", "target_forward", "target_backward", "hypernet_backward")
    # The embedding of a primitive that is in none of a step's graphs has no part in it.
    partial = True

    def __init__(self, config: MetaTrainingConfig, hypernet: nn.Module, ranks: Ranks) -> None:
        self.config, self.module, self.ranks = config, hypernet, ranks
        self.units = config.meta_batch
        if config.inner_steps:
            self.sums = (*self.sums, "adapted_loss")
        self.objective = Objective(
            penalty=config.penalty,
            squared=config.penalty_form == "squared",
            label_smoothing=config.label_smoothing,
            inner_steps=config.inner_steps,
            inner_rate=config.inner_rate,
            inner_share=config.inner_share,
            noise=config.weight_noise,
        )
        self.best: dict[str, Any] = {"value": -math.inf, "step": 0, "weights": {}}

    def gradient(self, work: MetaWork, tally: Tally) -> None:
        """Add the gradient of eq. 10 over this rank's networks, some at a time (`accumulate`)."""
        chunk = self.config.accumulate or len(work.targets)
        for start in range(0, len(work.targets), chunk):
            part = slice(start, start + chunk)
            self._accumulate(work.targets[part], work.batches[part], start, tally)

    def consider(self, value: float, step: int) -> bool:
        """Keep the hypernetwork's weights if a validation found none better; returns whether they are the best.

        Args:
            value: What they are judged by; greater is better, NaN is never the best.
            step: Of the training.
        """
        if not value > self.best["value"]:
            return False
        weights = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}
        self.best = {"value": value, "step": step, "weights": weights}
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best weights so far, where they are kept, besides the hypernetwork's own."""
        return {"best": self.best} if self.config.select_by else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the best weights so far."""
        if self.config.select_by:
            self.best = dict(state["best"])

    def _accumulate(
        self,
        targets: Sequence[Target],
        batches: Sequence[tuple[Tensor, Tensor]],
        first_slot: int,
        tally: Tally,
    ) -> None:
        """Add the gradient of some networks; each is run and backpropagated to its predicted tensors on its own."""
        clock, seconds = tally.clock, tally.seconds
        began = clock()
        predictions = unless_out_of_memory(self._predict, targets)
        seconds["hypernet_forward"] += clock() - began
        if predictions is None:
            tally.lack_memory(len(targets))
            return
        outputs: list[Tensor] = []
        gradients: list[Tensor] = []
        networks = 0
        for slot, (target, batch, prediction) in enumerate(zip(targets, batches, predictions, strict=True)):
            began = clock()
            self._seed(first_slot + slot, tally.step)
            result = unless_out_of_memory(self._target_gradients, target, batch, prediction, tally)
            if result is None:
                tally.lack_memory(1)
                continue
            networks += 1
            seconds["target_forward"] += result.forward_done - began
            seconds["target_backward"] += clock() - result.forward_done
            adapted = [] if result.adapted_loss is None else [result.adapted_loss]
            tally.add(result.loss, result.accuracy, result.penalty, *adapted)
            for tensor, gradient in zip(prediction.values(), result.gradients, strict=True):
                if tensor.requires_grad:
                    outputs.append(tensor)
                    gradients.append(gradient)
        began = clock()
        if outputs and unless_out_of_memory(_backward, outputs, gradients) is None:
            tally.spoil()
            tally.lack_memory(networks)
        seconds["hypernet_backward"] += clock() - began

    def _predict(self, targets: Sequence[Target]) -> list[dict[str, Tensor]]:
        # The decoders compute in float32 in any case (see GHN.forward).
        with autocast(self.ranks.device, self.config.precision):
            return self.module([target.graph for target in targets])

    def _target_gradients(
        self, target: Target, batch: tuple[Tensor, Tensor], prediction: dict[str, Tensor], tally: Tally
    ) -> TargetResult:
        return target_gradients(
            target.network,
            prediction,
            *batch,
            scale=tally.scale,
            objective=self.objective,
            autocasting=partial(autocast, self.ranks.device, target.precision),
            clock=tally.clock,
        )

    def _seed(self, slot: int, step: int) -> None:
        """Draws for a network (noise, dropout) depend on step and slot only, not on ranks or what ran before."""
        total = self.ranks.share(self.config.meta_batch).start + slot
        torch.manual_seed((self.config.seed * 1_000_003 + step) * 1009 + total)


def _backward(outputs: list[Tensor], gradients: list[Tensor]) -> bool:
    torch.autograd.backward(outputs, gradients)
    return True


def meta_trainer(config: MetaTrainingConfig, hypernet: nn.Module, ranks: Ranks | None = None) -> Trainer[MetaWork]:
    """A trainer of a hypernetwork, whose steps take `MetaWork`."""
    ranks = ranks or Ranks()
    return Trainer(config, MetaStepper(config, hypernet, ranks), ranks)
