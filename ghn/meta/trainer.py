"""Training of a hypernetwork on many target networks at once.

Source: GHN-3 (Knyazev et al., ICML 2023, eq. 10), GHN-2 (Knyazev et al., NeurIPS 2021, section 3.1).

Legend: m networks of a meta-batch, B images, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ghn.graph import ComputationalGraph
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.targets import Target, TargetResult, target_gradients
from ghn.training.memory import unless_out_of_memory
from ghn.training.precision import autocast
from ghn.training.ranks import Ranks
from ghn.training.schedule import learning_rate_factor


class Hypernet(Protocol):
    """What is trained: a module that maps graphs to one dict of predicted tensors each."""

    def __call__(self, graphs: Sequence[ComputationalGraph]) -> list[dict[str, Tensor]]: ...


class NonFiniteError(RuntimeError):
    """Too many steps in a row had a loss or gradient that is not finite; the last good state stays saved."""


@dataclass(slots=True, kw_only=True)
class StepReport:
    """What one step did, summed over ranks; seconds are those of this rank.

    Attributes:
        loss: Mean cross-entropy of the networks.
        accuracy: Share of images classified rightly.
        penalty: Mean over the networks of the sum of the predicted tensors' norms.
        networks: Networks that took part.
        out_of_memory: Networks that lacked memory; they are skipped, or the whole step where the hypernetwork's own
            backward pass was cut short.
        finite: Whether the step was made; otherwise it was skipped.
        learning_rate: Of this step.
        gradient_norm: Euclidean norm of the hypernetwork's gradient before clipping.
        parameter_norm: Of the hypernetwork's parameters; only where asked for.
        update_norm: Of the change of the parameters; only where asked for.
        seconds: By part, where timed: hypernet_forward, target_forward, target_backward, hypernet_backward, optimizer.
        stop: Whether any rank was asked to stop.
        elapsed: Seconds trained so far, resumed parts added; the mean of the ranks.
    """

    loss: float = float("nan")
    accuracy: float = float("nan")
    penalty: float = float("nan")
    networks: int = 0
    out_of_memory: int = 0
    finite: bool = False
    learning_rate: float = 0.0
    gradient_norm: float = float("nan")
    parameter_norm: float | None = None
    update_norm: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    stop: bool = False
    elapsed: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What a step adds up.

    Attributes:
        sums: Loss, accuracy, penalty, networks, networks without memory, wishes to stop, elapsed seconds.
        seconds: By part.
        scale: Factor on loss and penalty in the gradient: 1/m, times the loss scale of float16.
    """

    sums: Tensor
    seconds: dict[str, float]
    scale: float


class MetaTrainer:
    """The state of a training and its step; `ghn.meta.run` feeds, logs and saves it.

    Args:
        config: The run.
        hypernet: The hypernetwork, on the ranks' device.
        ranks: The processes of the run.
    """

    def __init__(self, config: MetaTrainingConfig, hypernet: nn.Module, ranks: Ranks | None = None) -> None:
        self.config, self.hypernet = config, hypernet
        self.ranks = ranks or Ranks()
        self.device = self.ranks.device
        self.parameters = [parameter for parameter in hypernet.parameters() if parameter.requires_grad]
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(self.parameters, lr=0.0, betas=config.betas, weight_decay=config.weight_decay, fused=True)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")
        # The scale exists from the first use on.
        self.scaler.scale(torch.zeros((), device=self.device))
        self.step_count = 0
        self.elapsed = 0.0
        self.skipped = 0
        self.nonfinite_in_a_row = 0
        self.out_of_memory = 0
        self.stop_requested = False
        self._timed = True
        self._elapsed_at = time.perf_counter()

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0..1: by time where the run has a length in minutes, else by steps."""
        by_steps = self.step_count / self.config.steps
        if self.config.minutes is None:
            return min(1.0, by_steps)
        return min(1.0, max(by_steps, self.elapsed / (60 * self.config.minutes)))

    def step(
        self,
        targets: Sequence[Target],
        batches: Sequence[tuple[Tensor, Tensor]],
        *,
        norms: bool = False,
        timed: bool = True,
    ) -> StepReport:
        """One step of eq. 10 on this rank's networks; all ranks must call it together.

        Args:
            targets: This rank's part of the meta-batch.
            batches: For each of them images (B, 3, H, W) float32 and labels (B,) int64.
            norms: Also report the norms of parameters and update.
            timed: Report the seconds of each part. A GPU is waited for between the parts, which costs time.

        Returns:
            What was done. A step whose loss or gradient is not finite leaves the parameters as they were.

        Raises:
            NonFiniteError: After `max_nonfinite` of these in a row.
            RankLostError: When another rank has gone.
        """
        self._timed = timed
        tally = _Tally(
            sums=torch.zeros(7, device=self.device),
            seconds=dict.fromkeys(("hypernet_forward", "target_forward", "target_backward", "hypernet_backward"), 0.0),
            scale=self.scaler.get_scale() / self.config.meta_batch,
        )
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.zero_()
        chunk = self.config.accumulate or len(targets)
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            self._accumulate(targets[part], batches[part], start, tally)
        tally.sums[5] = float(self.stop_requested)
        # All that happened since the last reading counts: loading, validation, saving.
        now = time.perf_counter()
        tally.sums[6] = self.elapsed + now - self._elapsed_at
        self._elapsed_at = now
        before_update = self._clock()
        self.ranks.sum([*self._gradients(), tally.sums])
        report = self._report(tally.sums)
        self._update(report, norms)
        tally.seconds["optimizer"] = self._clock() - before_update
        report.seconds = tally.seconds if timed else {}
        self.step_count += 1
        self.elapsed = report.elapsed
        if self.nonfinite_in_a_row >= self.config.max_nonfinite:
            lacking = f" ({self.out_of_memory} networks lacked memory: lower accumulate)" * bool(self.out_of_memory)
            raise NonFiniteError(
                f"{self.nonfinite_in_a_row} steps in a row up to step {self.step_count} were not finite; "
                f"lower learning_rate or use float32, and go on from the last save{lacking}"
            )
        return report

    def _accumulate(
        self,
        targets: Sequence[Target],
        batches: Sequence[tuple[Tensor, Tensor]],
        first_slot: int,
        tally: _Tally,
    ) -> None:
        """Add the gradient of some networks; each is run and backpropagated to its predicted tensors on its own."""
        clock, sums, seconds = self._clock, tally.sums, tally.seconds
        began = clock()
        predictions = unless_out_of_memory(self._predict, targets)
        seconds["hypernet_forward"] += clock() - began
        if predictions is None:
            sums[4] += len(targets)
            return
        outputs: list[Tensor] = []
        gradients: list[Tensor] = []
        networks = 0
        for slot, (target, batch, prediction) in enumerate(zip(targets, batches, predictions, strict=True)):
            began = clock()
            self._seed(first_slot + slot)
            result = unless_out_of_memory(self._target_gradients, target, batch, prediction, tally.scale)
            if result is None:
                sums[4] += 1
                continue
            networks += 1
            seconds["target_forward"] += result.forward_done - began
            seconds["target_backward"] += clock() - result.forward_done
            sums[:4] += torch.stack([result.loss, result.accuracy, result.penalty, torch.ones_like(result.loss)])
            for tensor, gradient in zip(prediction.values(), result.gradients, strict=True):
                if tensor.requires_grad:
                    outputs.append(tensor)
                    gradients.append(gradient)
        began = clock()
        if outputs and unless_out_of_memory(self._backward, outputs, gradients) is None:
            # Some parameters have got their part of this gradient and some have not: all ranks must skip the step.
            sums[0] = torch.nan
            sums[4] += networks
        seconds["hypernet_backward"] += clock() - began

    def _predict(self, targets: Sequence[Target]) -> list[dict[str, Tensor]]:
        # The decoders compute in float32 in any case (see GHN.forward).
        with autocast(self.device, self.config.precision):
            return self.hypernet([target.graph for target in targets])

    def _target_gradients(
        self, target: Target, batch: tuple[Tensor, Tensor], prediction: dict[str, Tensor], scale: float
    ) -> TargetResult:
        return target_gradients(
            target.network,
            prediction,
            *batch,
            scale=scale,
            penalty=self.config.penalty,
            squared=self.config.penalty_form == "squared",
            label_smoothing=self.config.label_smoothing,
            autocasting=autocast(self.device, target_precision(target.network, self.config, self.device)),
            clock=self._clock,
        )

    def _backward(self, outputs: list[Tensor], gradients: list[Tensor]) -> bool:
        torch.autograd.backward(outputs, gradients)
        return True

    def _report(self, sums: Tensor) -> StepReport:
        loss, accuracy, penalty, networks, out_of_memory, stop, elapsed = sums.tolist()
        self.out_of_memory += int(out_of_memory)
        count = max(1.0, networks)
        return StepReport(
            loss=loss / count,
            accuracy=accuracy / count,
            penalty=penalty / count,
            networks=int(networks),
            out_of_memory=int(out_of_memory),
            stop=stop > 0,
            elapsed=elapsed / self.ranks.world,
        )

    def _update(self, report: StepReport, norms: bool) -> None:
        """Clip and apply the gradient, unless it or the loss is not finite."""
        config = self.config
        report.learning_rate = config.learning_rate * learning_rate_factor(
            self.progress, warmup=config.warmup, form=config.schedule
        )
        self.scaler.unscale_(self.optimizer)
        if 0 < report.networks < config.meta_batch:
            torch._foreach_mul_(self._gradients(), config.meta_batch / report.networks)
        report.gradient_norm = float(nn.utils.clip_grad_norm_(self.parameters, config.clip, foreach=True))
        total = torch.tensor([report.loss, report.penalty, report.gradient_norm])
        report.finite = bool(total.isfinite().all()) and report.networks > 0
        if norms:
            before = [parameter.detach().clone() for parameter in self.parameters]
        if report.finite:
            for group in self.optimizer.param_groups:
                group["lr"] = report.learning_rate
            self.scaler.step(self.optimizer)
            self.nonfinite_in_a_row = 0
        else:
            self.skipped += 1
            self.nonfinite_in_a_row += 1
        self.scaler.update()
        if norms:
            now = [parameter.detach() for parameter in self.parameters]
            report.parameter_norm = _norm(now)
            report.update_norm = _norm(torch._foreach_sub(now, before))

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def _seed(self, slot: int) -> None:
        """Draws inside a network (dropout) depend on the step and its slot only, not on ranks or what ran before."""
        total = self.ranks.share(self.config.meta_batch).start + slot
        torch.manual_seed((self.config.seed * 1_000_003 + self.step_count) * 1009 + total)

    def _clock(self) -> float:
        if self._timed and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, as tensors and plain values."""
        return {
            "config": self.config.to_dict(),
            "hypernet": self.hypernet.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step_count,
            "elapsed": self.elapsed,
            "skipped": self.skipped,
            "nonfinite_in_a_row": self.nonfinite_in_a_row,
            "out_of_memory": self.out_of_memory,
            "random_state": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`; the number of ranks may differ."""
        self.hypernet.load_state_dict(state["hypernet"])
        self.optimizer.load_state_dict(state["optimizer"])
        # A run in another precision has no scale to go on with.
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.step_count, self.elapsed = state["step"], state["elapsed"]
        self.skipped, self.out_of_memory = state["skipped"], state["out_of_memory"]
        self.nonfinite_in_a_row = state["nonfinite_in_a_row"]
        torch.set_rng_state(state["random_state"])


def target_precision(network: nn.Module, config: MetaTrainingConfig, device: torch.device) -> str:
    """Arithmetic of a target network: on the CPU, attention in half precision is slower than in float32."""
    plan = getattr(network, "plan", None)
    if device.type == "cpu" and plan is not None and plan.arguments.is_vit:
        return "float32"
    return config.precision


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack(torch._foreach_norm(list(tensors))).norm())
