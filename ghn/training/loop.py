"""From a trainer to a run: what feeds, logs, validates, saves and resumes it."""

from __future__ import annotations

import errno
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch

from ghn.common.files import remove_partial, write_text
from ghn.common.progress import Bar
from ghn.training.config import TrainingConfig
from ghn.training.logbook import Logbook
from ghn.training.memory import most_memory_gb
from ghn.training.ranks import Ranks
from ghn.training.signals import on_stop_signal
from ghn.training.state import StateError, load_state, save_state
from ghn.training.stepper import Work
from ghn.training.trainer import StepReport, Trainer


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a validation found.

    Attributes:
        values: For the log, by name; empty to write none.
        line: For people.
    """

    values: Mapping[str, float]
    line: str


class Loop(Generic[Work]):
    """A run in a folder: made, or taken up where its last save left it.

    Args:
        trainer: Fresh; it gets the state that the folder holds.
        folder: The run's folder (hold it with `ghn.training.state.locked`): config, log, and states. None keeps
            nothing: the run cannot be resumed.
        bar: Shows how far the run is, of the first process; none by default.
        title: What it says beside the numbers.
        part: This run's number, from 0 on, and how many there are, where the bar goes on from one to the next.

    Raises:
        StateError: When the folder's state is of another run, or damaged.
    """

    def __init__(
        self,
        trainer: Trainer[Work],
        folder: Path | None,
        *,
        bar: Bar | None = None,
        title: str = "",
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self._title, self._part = title, part
        self.trainer, self.config, self.ranks, self.folder = trainer, trainer.config, trainer.ranks, folder
        if folder is not None:
            self._resume(folder)
        self.bar = bar if bar is not None and self.ranks.is_first else Bar(quiet=True)
        self.log = Logbook(folder if self.ranks.is_first else None, bar=self.bar, start=trainer.step_count)
        if folder is not None and self.ranks.is_first:
            write_text(folder / "config.json", json.dumps(self.config.to_dict(), indent=2) + "\n")
        self._recent: list[StepReport] = []
        self._data_seconds = 0.0
        self._saved_at = trainer.step_count
        self._last = time.perf_counter()

    def _resume(self, folder: Path) -> None:
        if self.ranks.is_first:
            remove_partial(folder)
        state = load_state(folder, keys=list(self.trainer.state_dict()), set_aside=self.ranks.is_first)
        if state is not None:
            check_same_run(self.config, state["config"], folder)
            self._take_up(state, folder)
        _check_same_step(self.ranks, self.trainer.step_count, folder)
        _check_length(self.config, self.trainer.step_count, folder)

    def _take_up(self, state: dict[str, Any], folder: Path) -> None:
        try:
            self.trainer.load_state_dict(state)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            cause = " ".join(str(error).split())[:120] or type(error).__name__
            raise StateError(
                f"{folder} holds a state that does not fit its run ({cause}); take another folder"
            ) from error

    def go(
        self,
        works: Callable[[int, int], Iterator[Work]],
        *,
        validate: Callable[[], Validation] | None = None,
        after_step: Callable[[StepReport], None] | None = None,
        stop_after: int | None = None,
    ) -> None:
        """Make the steps that are left. SIGTERM and SIGINT save the state and end the run after the step.

        Args:
            works: Gives the work of steps `first` to `last` - 1, one after the other.
            validate: Called every `validate_every` steps; what it draws does not change what the training draws. It
                comes before the state is saved, which thus holds what the stepper keeps of it.
            after_step: Called after each step, before anything is saved.
            stop_after: Save and return after so many steps.

        Raises:
            NonFiniteError: When too many steps in a row were not finite.
            RankLostError: When another process of the run has gone.
            OSError: When the last state could not be saved.
        """
        trainer, config = self.trainer, self.config
        last = config.steps if stop_after is None else min(config.steps, trainer.step_count + stop_after)
        length = f"{config.steps:,} steps" if config.minutes is None else f"{config.minutes:g} minutes"
        if self.folder is not None:
            self.bar.say(f"training from step {trainer.step_count:,} on, {length} in all, in {self.folder}")
        self._show("the first step")
        try:
            given = works(trainer.step_count, last)
            self._last = time.perf_counter()
            # What keeps nothing must not outlast Ctrl-C.
            with nullcontext() if self.folder is None else on_stop_signal(self._request_stop):
                while trainer.step_count < last and trainer.progress < 1:
                    if self._step(given, validate, after_step):
                        break
            if trainer.step_count > self._saved_at:
                self._save(must=True)
        finally:
            self.log.close()

    def _request_stop(self) -> None:
        self.trainer.stop_requested = True

    def _step(
        self,
        given: Iterator[Work],
        validate: Callable[[], Validation] | None,
        after_step: Callable[[StepReport], None] | None,
    ) -> bool:
        """One step with all that belongs to it; returns whether to stop."""
        trainer, config = self.trainer, self.config
        work = next(given, None)
        if work is None:
            raise RuntimeError(f"there is no work for step {trainer.step_count + 1:,} of {config.steps:,}")
        self._data_seconds += time.perf_counter() - self._last
        log_now = (trainer.step_count + 1) % config.log_every == 0
        report = trainer.step(work, norms=log_now, timed=log_now or self.ranks.device.type == "cpu")
        self._recent.append(report)
        step = trainer.step_count
        self._last = time.perf_counter()
        if after_step is not None:
            after_step(report)
        self._show(self._text(report))
        if not report.finite:
            self.bar.say(f"step {step} was not finite and is skipped ({trainer.skipped} so far)")
        if log_now:
            self._write_log()
        if validate is not None and config.validate_every and step % config.validate_every == 0:
            self._validate(validate)
        if step % config.save_every == 0 and report.finite and not report.stop:
            self._save(must=False)
        return report.stop

    def _share(self) -> float:
        """Of the progress bar."""
        index, count = self._part
        return (index + self.trainer.progress) / count

    def _show(self, text: str) -> None:
        minutes = self.config.minutes
        length = f"/{self.config.steps:,}" if minutes is None else f" in {minutes:g} minutes"
        self.bar.move(self._share(), f"{self.trainer.step_count:,}{length}", f"{self._title} {text}".strip())

    def _text(self, report: StepReport) -> str:
        shown = self.trainer.stepper.sums[:2]
        return " ".join(f"{name} {report.means[name]:.3f}" for name in shown) if report.finite else "not finite"

    def _write_log(self) -> None:
        reports, self._recent = self._recent, []
        finite = [report for report in reports if report.finite]
        last = reports[-1]
        values: dict[str, Any] = {
            **{name: _mean([report.means[name] for report in finite]) for name in self.trainer.stepper.sums},
            "gradient_norm": _mean([report.gradient_norm for report in finite]),
            "parameter_norm": last.parameter_norm,
            "update_norm": last.update_norm,
            "learning_rate": last.learning_rate,
            "elapsed": self.trainer.elapsed,
            "skipped": self.trainer.skipped,
            "out_of_memory": self.trainer.out_of_memory,
            "memory_gb": most_memory_gb(self.ranks.device),
            "seconds_data": self._data_seconds / len(reports),
        }
        self._data_seconds = 0.0
        for part in last.seconds:
            values[f"seconds_{part}"] = _mean([report.seconds[part] for report in reports if report.seconds])
        self.log.write(self.trainer.step_count, values)

    def _validate(self, validate: Callable[[], Validation]) -> None:
        device = self.ranks.device
        # The training draws the same numbers whether or not, and however often, it is validated.
        forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        with forked, self.bar.step(f"{self._title} evaluating".strip()):
            found = validate()
        self._last = time.perf_counter()
        step = self.trainer.step_count
        if found.values:
            self.log.write(step, found.values)
        self.bar.say(f"step {step}: {found.line}")

    def _save(self, *, must: bool) -> None:
        """Save the state; one that cannot be written is reported, and only the last of a run (`must`) is an error."""
        if not self.ranks.is_first or self.folder is None:
            return
        try:
            save_state(self.folder, self.trainer.state_dict())
        except OSError as error:
            # An error of PyTorch's writer has no number; it says so where the disk is full.
            remedy = ": free some space" if error.errno in (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
            text = (
                f"state of step {self.trainer.step_count} not saved in {self.folder} ({error}); "
                f"that of step {self._saved_at} stays{remedy}"
            )
            if must:
                raise OSError(text) from error
            self.bar.warn(text)
        else:
            self._saved_at = self.trainer.step_count
        self._last = time.perf_counter()


def check_same_run(config: TrainingConfig, saved: dict[str, Any], folder: Path, what: str = "a run") -> None:
    """See that a saved configuration is the given one, but for what a resumed run may change.

    Args:
        config: The run that is to go on.
        saved: What `to_dict` of the begun one gave.
        folder: Where it is, for the message.
        what: What the folder holds, for the message.

    Raises:
        StateError: When they differ, or what was saved is no configuration.
    """
    try:
        before, now = type(config).from_dict(saved).identity(), config.identity()
    except (TypeError, AttributeError, ValueError) as error:
        raise StateError(f"{folder} holds {what} with another configuration ({error}); take another folder") from error
    for name, value in now.items():
        if before[name] != value:
            raise StateError(
                f"{folder} holds {what} with {name}={before[name]!r}, not {value!r}; take another folder, or that value"
            )


def _check_length(config: TrainingConfig, step: int, folder: Path) -> None:
    if step > config.steps:
        raise StateError(f"the run in {folder} has made {step:,} steps, more than {config.steps:,}; ask for more steps")


def _check_same_step(ranks: Ranks, step: int, folder: Path) -> None:
    steps = [int(value) for value in ranks.gather(step)]
    if len(set(steps)) > 1:
        raise StateError(
            f"the processes found states of different steps, {', '.join(map(str, steps))}, in {folder}; "
            "it must be the same folder for all, on a file system that they share"
        )


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
