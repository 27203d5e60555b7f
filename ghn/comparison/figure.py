"""Curves of a comparison as a picture (matplotlib)."""

from __future__ import annotations

import math
import os
from typing import Any

from ghn.comparison.result import Comparison, Row
from ghn.draw.plots import checked_format, colour, literal, new_figure, plain_axes, short, style, write_figure


def draw(comparison: Comparison, file: str | os.PathLike[str]) -> None:
    """Draw accuracy over training steps: mean and deviation over the seeds.

    A curve begins where its initialisation ends: the time that it took, in steps of the training.

    Args:
        comparison: With at least one start that has results.
        file: To write, .svg, .png or .pdf.

    Raises:
        ValueError: For another ending, without matplotlib, or without results.
    """
    file = checked_format(file)
    rows = [row for row in comparison.rows() if row.steps]
    if not rows:
        raise ValueError("there are no results to draw")
    figure = new_figure(7.2, 4.4, "a picture of curves")
    axes = figure.add_subplot()
    for number, row in enumerate(rows):
        _draw_row(axes, row, colour(number), style(number))
    _label(axes, comparison, rows)
    write_figure(figure, file)


def cost_in_steps(row: Row) -> float:
    """How many training steps an initialisation took as long as."""
    return row.cost / row.step_seconds if row.step_seconds > 0 else 0.0


def _draw_row(axes: Any, row: Row, colour: str, style: str) -> None:
    begin = cost_in_steps(row)
    x = [begin + step for step in row.steps]
    y = [100 * value for value in row.mean]
    axes.plot(x, y, color=colour, linestyle=style, marker="o", markersize=3, label=short(row.init))
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
    axes.set_title(literal(f"{config.model} on {config.training.data}: {band}"), fontsize=10, loc="left")
    axes.set_xlabel("training steps, the time of the initialisation included")
    axes.set_ylabel("test accuracy, %")
    axes.set_xlim(left=0)
    plain_axes(axes)
    axes.legend(fontsize=8, frameon=False, loc="best")
