"""What comes of a fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ghn.common.text import without_nan
from ghn.initializers import StartReport


@dataclass(frozen=True, kw_only=True)
class HistoryPoint:
    """The network at one moment of its training, in evaluation mode with its running statistics.

    Attributes:
        step: Steps made; 0 is the start, before any.
        loss: Mean cross-entropy on the test images; NaN where the network's outputs are not finite.
        accuracy: Share of the test images that it gets right, 0..1; NaN where there are none.
        validation: Share of the held-out images that it gets right; None where none are held out.
        averaged: As `accuracy`, of the averaged weights; None without `average`.
    """

    step: int
    loss: float
    accuracy: float
    validation: float | None = None
    averaged: float | None = None

    def __str__(self) -> str:
        held = "" if self.validation is None else f", {100 * self.validation:.1f} % of held-out ones"
        averaged = "" if self.averaged is None else f", averaged weights {100 * self.averaged:.1f} %"
        return f"{100 * self.accuracy:.1f} % of test images right{held}{averaged}, loss {self.loss:.3f}"


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """What came of it; `print(result)` is readable.

    Attributes:
        learning_rate: The best one.
        steps: Steps made with it.
        score: What chose it: the share of held-out images that the trained network gets right, or minus the training
            loss over the last tenth of the steps where none are held out.
        scores: The score of each learning rate; −inf where the training diverged.
        losses: Its training loss at each step.
        history: The network at the start, every `validate_every` steps, and at the end.
        seconds: Wall-clock seconds of this call.
        start: What the initialiser reported; None without one.
        averaged: State of the network with averaged weights; None without `average`.
    """

    learning_rate: float
    steps: int
    score: float
    losses: list[float] = field(repr=False)
    scores: dict[float, float]
    history: tuple[HistoryPoint, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    start: StartReport | None = field(default=None, repr=False, compare=False)
    averaged: Mapping[str, Tensor] | None = field(default=None, repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """Share of the test images that the trained network gets right, 0..1; NaN where there are none."""
        return self.history[-1].accuracy if self.history else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: numbers that are not finite become None; without weights."""
        return without_nan(
            {
                "learning_rate": self.learning_rate,
                "steps": self.steps,
                "score": self.score,
                "scores": {repr(rate): score for rate, score in self.scores.items()},
                "accuracy": self.accuracy,
                "history": [asdict(point) for point in self.history],
                "losses": self.losses,
                "seconds": self.seconds,
                "start": None if self.start is None else asdict(self.start),
            }
        )

    def __str__(self) -> str:
        lines = [f"learning rate {self.learning_rate:g}, {self.steps:,} steps, {self.seconds:.1f} s"]
        return "\n".join([*lines, *(f"  step {point.step:,}: {point}" for point in self.history)])
