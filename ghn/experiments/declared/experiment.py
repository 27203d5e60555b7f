"""What an experiment is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ghn.experiments.grid.cell import Cell
from ghn.experiments.listing import EXPERIMENTS
from ghn.experiments.protocol import Results
from ghn.experiments.report import Report
from ghn.experiments.scales import Scale

Stage = Callable[[Scale, Results], Sequence[Cell]]
"""Cells, of which later ones may depend on what earlier stages found."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A table or figure of the paper as a grid.

    Attributes:
        name: `table2`, `figure1`, ….
        stages: One after the other; each gets the results of those before it.
        report: Makes table and figure of whatever results there are.
    """

    name: str
    stages: Sequence[Stage]
    report: Callable[[Scale, Results], Report]

    @property
    def title(self) -> str:
        """What it is about, in a line."""
        return EXPERIMENTS[self.name].title

    def made(self, scale: Scale, results: Results, **parts: object) -> Report:
        """A report of this experiment."""
        return Report(name=self.name, title=self.title, scale=scale.name, data=scale.data, **parts)  # type: ignore[arg-type]
