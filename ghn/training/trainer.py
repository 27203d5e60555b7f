"""The state of a training and its step: gradient of a stepper, sum over ranks, clipping, update."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

import torch
from torch import Tensor

from ghn.common.private_torch import foreach_mul_, foreach_norm, foreach_sub
from ghn.common.untrusted.run_states import check_counts, check_optimizer_state, check_weights
from ghn.training.average import make_average
from ghn.training.config import TrainingConfig
from ghn.training.optimizer import make_optimizer
from ghn.training.ranks import Ranks
from ghn.training.schedule import learning_rate_factor
from ghn.training.stepper import Stepper, Tally, Work


class NonFiniteError(RuntimeError):
    """Too many steps in a row had a loss or gradient that is not finite; the last good state stays saved."""


@dataclass(slots=True, kw_only=True)
class StepReport:
    """What one step did, over all ranks; seconds are those of this rank.

    Attributes:
        means: Of the stepper's sums over the units that took part: `loss` and what else it adds up.
        units: Units that took part.
        out_of_memory: Units that lacked memory; they are skipped, or the whole step where the gradient was cut short.
        finite: Whether the step was made; otherwise it was skipped.
        learning_rate: Of this step.
        gradient_norm: Euclidean norm of the gradient before clipping.
        parameter_norm: Of the parameters; only where asked for.
        update_norm: Of the change of the parameters; only where asked for.
        seconds: By part, where timed: the stepper's parts, and `optimizer`.
        stop: Whether any rank was asked to stop.
        elapsed: Seconds trained so far, resumed parts added; the mean of the ranks.
    """

    means: dict[str, float]
    units: int
    out_of_memory: int
    stop: bool
    elapsed: float
    finite: bool = False
    learning_rate: float = 0.0
    gradient_norm: float = float("nan")
    parameter_norm: float | None = None
    update_norm: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """Mean loss of the units."""
        return self.means["loss"]


class Trainer(Generic[Work]):
    """Makes steps; `ghn.training.loop` feeds, logs and saves it.

    Args:
        config: The run.
        stepper: What is trained, on the ranks' device.
        ranks: The processes of the run.
    """

    def __init__(self, config: TrainingConfig, stepper: Stepper[Work], ranks: Ranks | None = None) -> None:
        self.config, self.stepper = config, stepper
        self.ranks = ranks or Ranks()
        self.device = self.ranks.device
        self.parameters = [parameter for parameter in stepper.module.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(self.parameters, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")
        self.average = None if config.average is None else make_average(stepper.module, config.average)
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

    def step(self, work: Work, *, norms: bool = False, timed: bool = True) -> StepReport:
        """One step on this rank's work; all ranks must call it together.

        Args:
            work: This rank's part.
            norms: Also report the norms of parameters and update.
            timed: Report the seconds of each part. A GPU is waited for between the parts, which costs time.

        Returns:
            What was done. A step whose loss or gradient is not finite leaves the parameters as they were.

        Raises:
            NonFiniteError: After `max_nonfinite` of these in a row.
            RankLostError: When another rank has gone.
        """
        self._timed = timed
        self._clear_gradients()
        tally = Tally(
            self.stepper.sums,
            self.stepper.parts,
            scale=self.scaler.get_scale() / self.stepper.units,
            step=self.step_count,
            clock=self.clock,
            device=self.device,
        )
        self.stepper.gradient(work, tally)
        tally.set("stop", float(self.stop_requested))
        # All that happened since the last reading counts: loading, validation, saving.
        now = time.perf_counter()
        tally.set("elapsed", now - self._elapsed_at)
        self._elapsed_at = now
        before_update = self.clock()
        self.ranks.sum([*self._gradients(), tally.values])
        report = self._report(tally)
        self._update(report, norms)
        tally.seconds["optimizer"] = self.clock() - before_update
        report.seconds = tally.seconds if timed else {}
        self.step_count += 1
        self.elapsed = report.elapsed
        if self.nonfinite_in_a_row >= self.config.max_nonfinite:
            raise NonFiniteError(self._nonfinite_line())
        return report

    def clock(self) -> float:
        """Seconds; where the step is timed, after all that a GPU was given to do."""
        if self._timed and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, as tensors and plain values."""
        state = {
            "config": self.config.to_dict(),
            self.stepper.key: self.stepper.module.state_dict(),
            **self.stepper.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step_count,
            "elapsed": self.elapsed,
            "skipped": self.skipped,
            "nonfinite_in_a_row": self.nonfinite_in_a_row,
            "out_of_memory": self.out_of_memory,
            "random_state": torch.get_rng_state(),
        }
        return state if self.average is None else state | {"average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`; the number of ranks may differ.

        Raises:
            ValueError: In one line, if it holds what no run leaves; what PyTorch raises if it is of another network.
        """
        check_counts(state)
        check_weights(state[self.stepper.key], self.stepper.module)
        updates = state["step"] - state["skipped"]
        optimizer = check_optimizer_state(state["optimizer"], self.optimizer, updates)
        self.stepper.module.load_state_dict(state[self.stepper.key])
        self.stepper.load_state_dict(state)
        self.optimizer.load_state_dict(optimizer)
        # A run in another precision has no scale to go on with.
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.step_count, self.elapsed = state["step"], state["elapsed"]
        self.skipped, self.out_of_memory = state["skipped"], state["out_of_memory"]
        self.nonfinite_in_a_row = state["nonfinite_in_a_row"]
        if self.average is not None:
            check_weights(state["average"], self.average)
            self.average.load_state_dict(state["average"])
        torch.set_rng_state(state["random_state"])

    def _clear_gradients(self) -> None:
        for parameter in self.parameters:
            if not self.stepper.partial and self.ranks.world == 1:
                parameter.grad = None
            elif parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.zero_()

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def _report(self, tally: Tally) -> StepReport:
        values = tally.read()
        units = int(values["units"])
        self.out_of_memory += int(values["out_of_memory"])
        return StepReport(
            means={name: values[name] / max(1.0, units) for name in self.stepper.sums},
            units=units,
            out_of_memory=int(values["out_of_memory"]),
            stop=values["stop"] > 0,
            elapsed=self.elapsed + values["elapsed"] / self.ranks.world,
        )

    def _update(self, report: StepReport, norms: bool) -> None:
        """Clip and apply the gradient, unless it or the loss is not finite."""
        config = self.config
        report.learning_rate = config.learning_rate * learning_rate_factor(
            self.progress, warmup=config.warmup, form=config.schedule
        )
        # The loss scale cannot be updated where there is no gradient at all.
        gradients = self._gradients()
        if gradients:
            self.scaler.unscale_(self.optimizer)
        if 0 < report.units < self.stepper.units:
            foreach_mul_(gradients, self.stepper.units / report.units)
        report.gradient_norm = self._clipped(gradients)
        total = torch.tensor([*report.means.values(), report.gradient_norm])
        report.finite = bool(total.isfinite().all()) and report.units > 0
        if norms:
            before = [parameter.detach().clone() for parameter in self.parameters]
        if report.finite:
            for group in self.optimizer.param_groups:
                group["lr"] = report.learning_rate
            self.scaler.step(self.optimizer)
            if self.average is not None:
                self.average.update_parameters(self.stepper.module)
            self.nonfinite_in_a_row = 0
        else:
            self.skipped += 1
            self.nonfinite_in_a_row += not self._is_overflow(report)
        if gradients:
            self.scaler.update()
        if norms:
            now = [parameter.detach() for parameter in self.parameters]
            report.parameter_norm = _norm(now)
            report.update_norm = _norm(foreach_sub(now, before))

    def _clipped(self, gradients: Sequence[Tensor]) -> float:
        """Scale gradients down to the limit; returns their norm before. Those within it are not written again."""
        if not gradients:
            return 0.0
        norm = torch.stack(foreach_norm(gradients)).norm()
        if self.config.clip is not None:
            # As `torch.nn.utils.clip_grad_norm_`.
            factor = float(self.config.clip / (norm + 1e-6))
            if factor < 1:
                foreach_mul_(gradients, factor)
        return float(norm)

    def _is_overflow(self, report: StepReport) -> bool:
        """Whether a step failed because the loss scale of float16 is still too high: it is halved then."""
        scaled = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        return scaled and report.units > 0 and all(map(math.isfinite, report.means.values()))

    def _nonfinite_line(self) -> str:
        lacking = ""
        if self.out_of_memory:
            lacking = f" ({self.out_of_memory} {self.stepper.unit} lacked memory: {self.stepper.memory_advice})"
        return (
            f"{self.nonfinite_in_a_row} steps in a row up to step {self.step_count} were not finite; "
            f"lower learning_rate or use float32, and go on from the last save{lacking}"
        )


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack(foreach_norm(tensors)).norm())
