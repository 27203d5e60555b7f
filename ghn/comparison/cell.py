"""One start from one seed: a fine-tuning in a folder, and what it found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from ghn.common.files import write_text
from ghn.common.optional import versions
from ghn.common.progress import Bar
from ghn.common.text import one_line, without_nan
from ghn.common.untrusted.json_text import read_json
from ghn.comparison.config import CompareConfig
from ghn.comparison.told import Told, folder_of
from ghn.data import DataError
from ghn.finetuning import finetune
from ghn.finetuning.images import Data
from ghn.initializers import create
from ghn.training.logbook import FILE as LOG
from ghn.training.state import StateError

RESULT = "cell.json"

MOST_OF_A_RESULT = 64 << 20
"""Bytes of a cell's file: a million steps."""


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What came of a start from a seed.

    Attributes:
        init: The start.
        seed: Its seed.
        steps: At which the network was evaluated, from 0 on.
        accuracies: On the test images at these steps, 0..1, with the best learning rate.
        learning_rate: That one.
        scores: Of each learning rate, by which it was chosen; None where the training diverged.
        cost: Seconds that the initialisation took.
        step_seconds: Seconds of a training step.
        notes: What the initialisation said.
        error: Why there is none of these: the start cannot be made for the model, or the training diverged.
    """

    init: str
    seed: int
    steps: tuple[int, ...] = ()
    accuracies: tuple[float, ...] = ()
    learning_rate: float = float("nan")
    scores: Mapping[str, float | None] = field(default_factory=dict)
    cost: float = 0.0
    step_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is compared, in a folder: gives and makes its cells.

    Attributes:
        config: The comparison.
        folder: Where its cells are kept.
        build: Makes the model for so many classes; what it draws is governed by the seed.
        data: Training and test images.
        device: "cpu", "cuda" or "cuda:N", where models are trained; None for where they are built.
        tells: Whether trainings say in their folders how far they are, for another process to show.
    """

    config: CompareConfig
    folder: Path
    build: Callable[[CompareConfig, int], nn.Module]
    data: Data
    device: str | None = None
    tells: bool = False

    def finished(self, init: str, seed: int) -> CellResult | None:
        """What an ended cell found; None where it has not ended, or failed, or was of something else."""
        try:
            saved = read_json(folder_of(self.folder, init, seed) / RESULT, MOST_OF_A_RESULT)
            if saved["of"] != self._identity(init, seed) or saved["error"] is not None:
                return None
            return _read(saved)
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def run(self, init: str, seed: int, *, bar: Bar | None = None) -> CellResult:
        """Train one start from one seed, or take up where that was stopped.

        Args:
            init: The start.
            seed: Its seed.
            bar: Shows the progress; none by default, but for what `tells` says.

        Raises:
            DataError: When an image is damaged.
            StateError: When the folder holds another comparison's trainings, or another process uses it.
            StoppedError: When it was asked to stop; what was done is saved.
        """
        home, config = folder_of(self.folder, init, seed), self.config.cell(init, seed)
        # A training that has ended has its own points: others are another training.
        training = home / f"training-{config.validate_every}"
        bar = Told(home) if bar is None and self.tells else bar
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build(self.config, len(self.data.classes))
        try:
            found = finetune(model, self.data, config, folder=training, device=self.device, bar=bar)
        except (DataError, StateError):
            raise
        except ValueError as error:
            result = CellResult(init=init, seed=seed, error=one_line(str(error)))
        else:
            result = CellResult(
                init=init,
                seed=seed,
                steps=tuple(point.step for point in found.history),
                accuracies=tuple(point.accuracy for point in found.history),
                learning_rate=found.learning_rate,
                scores=without_nan({f"{rate:g}": score for rate, score in found.scores.items()}),
                cost=0.0 if found.start is None else found.start.seconds,
                step_seconds=_step_seconds(training),
                notes=() if found.start is None else tuple(found.start.notes),
            )
        home.mkdir(parents=True, exist_ok=True)
        record = without_nan(asdict(result)) | {"of": self._identity(init, seed), "versions": versions()}
        write_text(home / RESULT, json.dumps(record, indent=1) + "\n")
        return result

    def _identity(self, init: str, seed: int) -> dict[str, Any]:
        """All that a cell's numbers depend on, as JSON holds it."""
        training = self.config.cell(init, seed)
        # Free to change within a run, but curves are to have the same points.
        length = {"steps": training.steps, "validate_every": training.validate_every}
        identity = {
            "model": self.config.model,
            "build": f"{self.build.__module__}.{getattr(self.build, '__qualname__', '')}",
            "training": training.identity() | length,
            "data": self.data.digest,
            "start": create(init).digest(),
        }
        return json.loads(json.dumps(identity))


def _step_seconds(folder: Path) -> float:
    """Of a step, without evaluations and saves: the median over the lines of all logs below a folder."""
    found = []
    for log in sorted(folder.rglob(LOG)):
        for line in log.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            parts = [value for name, value in values.items() if name.startswith("seconds_") and value is not None]
            if parts:
                found.append(sum(parts))
    return median(found) if found else 0.0


def _read(saved: Mapping[str, Any]) -> CellResult:
    return CellResult(
        init=saved["init"],
        seed=saved["seed"],
        steps=tuple(saved["steps"]),
        accuracies=tuple(float("nan") if value is None else float(value) for value in saved["accuracies"]),
        learning_rate=float(saved["learning_rate"]),
        scores=saved["scores"],
        cost=float(saved["cost"]),
        step_seconds=float(saved["step_seconds"]),
        notes=tuple(saved["notes"]),
    )
