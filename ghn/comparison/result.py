"""What a comparison found: curves, and whether they differ by more than the seeds do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from ghn.common.text import printable, without_nan
from ghn.comparison.cell import CellResult
from ghn.comparison.config import CompareConfig

CONFIDENCE = 0.95
"""Of the intervals."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much more accurate one start is than another, seed by seed.

    Attributes:
        mean: Of the differences, 0..1.
        half: Half the width of Student's interval of 95 % for the mean; infinite for a single seed.
        seeds: How many.
    """

    mean: float
    half: float
    seeds: int

    @property
    def verdict(self) -> str:
        """`ahead`, `behind`, `within noise`, `equal`, or `one seed`: no noise is known then."""
        if self.seeds < 2:
            return "one seed"
        if self.mean == 0 and self.half == 0:
            return "equal"
        if abs(self.mean) <= self.half:
            return "within noise"
        return "ahead" if self.mean > 0 else "behind"


def difference(values: Sequence[float], others: Sequence[float]) -> Difference:
    """Of paired accuracies: of the same seeds, in the same order; Student's t with one degree of freedom fewer."""
    differences = [value - other for value, other in zip(values, others, strict=True)]
    count = len(differences)
    mean = fmean(differences) if differences else math.nan
    if count < 2:
        return Difference(mean=mean, half=math.inf, seeds=count)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return Difference(mean=mean, half=quantile * stdev(differences) / math.sqrt(count), seeds=count)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One start.

    Attributes:
        init: The start.
        seeds: Of which there are results.
        steps: At which networks were evaluated.
        mean: Accuracy at each of these, over the seeds.
        std: Its deviation (of the sample); NaN for a single seed.
        learning_rates: Chosen for each seed.
        cost: Seconds of the initialisation, over the seeds.
        step_seconds: Seconds of a training step, over the seeds.
        against: The last accuracy against that of the first start; None for this itself, or without common seeds.
        reaches: First evaluated step at which the mean over the common seeds is not below the first start's last one;
            None if at none.
        errors: Why seeds have no result.
    """

    init: str
    seeds: tuple[int, ...]
    steps: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    learning_rates: tuple[float, ...] = ()
    cost: float = 0.0
    step_seconds: float = 0.0
    against: Difference | None = None
    reaches: int | None = None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Results of all starts that have any; `print(comparison)` is a table.

    Attributes:
        config: What was compared.
        cells: In the order of the starts, then of the seeds; fewer than asked for where it was stopped.
    """

    config: CompareConfig
    cells: tuple[CellResult, ...]

    def rows(self) -> list[Row]:
        """One for each start that has a cell."""
        rows = []
        first = self._good(self.config.inits[0])
        for init in self.config.inits:
            cells = self._good(init)
            errors = tuple(dict.fromkeys(cell.error for cell in self.cells if cell.init == init and cell.error))
            if not cells:
                if errors:
                    rows.append(Row(init=init, seeds=(), errors=errors))
                continue
            rows.append(self._row(init, cells, first, errors))
        return rows

    def _good(self, init: str) -> list[CellResult]:
        return [cell for cell in self.cells if cell.init == init and cell.error is None]

    def _row(self, init: str, cells: list[CellResult], first: list[CellResult], errors: tuple[str, ...]) -> Row:
        columns = list(zip(*(cell.accuracies for cell in cells), strict=True))
        mean = tuple(fmean(column) for column in columns)
        base = {cell.seed: cell.accuracies[-1] for cell in first}
        common = [cell for cell in cells if cell.seed in base]
        against = None
        if init != self.config.inits[0] and common:
            against = difference([cell.accuracies[-1] for cell in common], [base[cell.seed] for cell in common])
        return Row(
            init=init,
            seeds=tuple(cell.seed for cell in cells),
            steps=cells[0].steps,
            mean=mean,
            std=tuple(stdev(column) if len(column) > 1 else math.nan for column in columns),
            learning_rates=tuple(cell.learning_rate for cell in cells),
            cost=fmean(cell.cost for cell in cells),
            step_seconds=fmean(cell.step_seconds for cell in cells),
            against=against,
            reaches=_reaches(common, [base[cell.seed] for cell in common]),
            errors=errors,
        )

    @property
    def complete(self) -> bool:
        """Whether every start has a result, or a reason for none, of every seed."""
        return len(self.cells) == len(self.config.inits) * self.config.seeds

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: numbers that are not finite become None."""
        return without_nan(
            {
                "config": self.config.to_dict(),
                "complete": self.complete,
                "rows": [
                    asdict(row) | {"verdict": None if row.against is None else row.against.verdict}
                    for row in self.rows()
                ],
                "cells": [asdict(cell) for cell in self.cells],
            }
        )

    def __str__(self) -> str:
        lines = []
        for row in self.rows():
            if not row.steps:
                lines.append(f"{printable(row.init)}: {'; '.join(map(printable, row.errors))}")
                continue
            curve = ", ".join(
                f"{step:,}: {100 * mean:.1f}{'' if math.isnan(std) else f' ± {100 * std:.1f}'}"
                for step, mean, std in zip(row.steps, row.mean, row.std, strict=True)
            )
            lines.append(f"{printable(row.init)}: accuracy in % at step {curve}{_against(row, self.config.inits[0])}")
        return "\n".join(lines)


def _reaches(cells: Sequence[CellResult], goals: Sequence[float]) -> int | None:
    """First step at which cells are on average not below what they are to reach."""
    if not cells:
        return None
    means = [fmean(column) for column in zip(*(cell.accuracies for cell in cells), strict=True)]
    goal = fmean(goals)
    return next((step for step, mean in zip(cells[0].steps, means, strict=True) if mean >= goal), None)


def _against(row: Row, first: str) -> str:
    if row.against is None:
        return ""
    interval = "" if math.isinf(row.against.half) else f" ± {100 * row.against.half:.1f}"
    return f"; {100 * row.against.mean:+.1f}{interval} against {printable(first)}: {row.against.verdict}"
