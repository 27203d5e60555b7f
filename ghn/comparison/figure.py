"""Curves of a comparison as a picture (matplotlib)."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from ghn.common.files import replaced
from ghn.common.optional import require
from ghn.common.text import printable
from ghn.comparison.result import Comparison, Row

FORMATS = (".svg", ".png", ".pdf")

COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by the colour-blind (Okabe & Ito 2008); the first start is grey."""

STYLES = ("-", "-", "-", "-", "--", "--", "--", "--", "-.", ":")

LONGEST_NAME = 44
"""Characters of a start's name in the legend."""


def draw(comparison: Comparison, file: str | os.PathLike[str]) -> None:
    """Draw accuracy over training steps: mean and deviation over the seeds.

    A curve begins where its initialisation ends: the time that it took, in steps of the training.

    Args:
        comparison: With at least one start that has results.
        file: To write, .svg, .png or .pdf.

    Raises:
        ValueError: For another ending, without matplotlib, or without results.
    """
    file = Path(file)
    if file.suffix.lower() not in FORMATS:
        raise ValueError(f"{file.name}: pictures end in {', '.join(FORMATS)}")
    rows = [row for row in comparison.rows() if row.steps]
    if not rows:
        raise ValueError("there are no results to draw")
    require("matplotlib", "plots", "a picture of curves")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, row in enumerate(rows):
        _draw_row(axes, row, COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)])
    _label(axes, comparison, rows)
    with replaced(file) as partial:
        figure.savefig(partial, format=file.suffix.lower()[1:], dpi=150)


def cost_in_steps(row: Row) -> float:
    """How many training steps an initialisation took as long as."""
    return row.cost / row.step_seconds if row.step_seconds > 0 else 0.0


def _draw_row(axes: Any, row: Row, colour: str, style: str) -> None:
    begin = cost_in_steps(row)
    x = [begin + step for step in row.steps]
    y = [100 * value for value in row.mean]
    name = row.init if len(row.init) <= LONGEST_NAME else row.init[: LONGEST_NAME - 1] + "…"
    axes.plot(x, y, color=colour, linestyle=style, marker="o", markersize=3, label=_text(name))
    if begin >= 1:
        # The time before the first point is the initialisation's.
        axes.plot([0, begin], [y[0], y[0]], color=colour, linestyle=":", linewidth=1)
    if not any(map(math.isnan, row.std)):
        low = [100 * (mean - std) for mean, std in zip(row.mean, row.std, strict=True)]
        high = [100 * (mean + std) for mean, std in zip(row.mean, row.std, strict=True)]
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _label(axes: Any, comparison: Comparison, rows: list[Row]) -> None:
    config = comparison.config
    seeds = max(len(row.seeds) for row in rows)
    band = f"mean and standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
    axes.set_title(_text(f"{config.model} on {config.training.data}: {band}"), fontsize=10, loc="left")
    axes.set_xlabel("training steps, the time of the initialisation included")
    axes.set_ylabel("test accuracy, %")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _text(text: str) -> str:
    """What matplotlib shows as it is: dollars begin formulas."""
    return printable(text).replace("$", r"\$")
