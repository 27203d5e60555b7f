"""Figures of experiments (matplotlib)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ghn.common.files import replaced
from ghn.common.optional import require
from ghn.comparison.figure import COLOURS, FORMATS, STYLES
from ghn.experiments.report import Plot, Report


def draw(report: Report, file: str | os.PathLike[str]) -> None:
    """Draw an experiment's figures side by side.

    Args:
        report: With at least one figure that has points.
        file: To write, .svg, .png or .pdf.

    Raises:
        ValueError: For another ending, without matplotlib, or without points.
    """
    file = Path(file)
    if file.suffix.lower() not in FORMATS:
        raise ValueError(f"{file.name}: pictures end in {', '.join(FORMATS)}")
    plots = [plot for plot in report.plots if any(len(series.x) for series in plot.series)]
    if not plots:
        raise ValueError(f"{report.name} has no figure to draw yet")
    require("matplotlib", "plots", "a figure of an experiment")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 4.8 * len(plots), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for number, plot in enumerate(plots):
        _draw_plot(figure.add_subplot(1, len(plots), number + 1), plot)
    # The same numbers give the same file.
    with replaced(file) as partial, matplotlib.rc_context({"svg.hashsalt": report.name}):
        metadata = {"Date": None} if file.suffix.lower() == ".svg" else None
        figure.savefig(partial, format=file.suffix.lower()[1:], dpi=150, metadata=metadata)


def _draw_plot(axes: Any, plot: Plot) -> None:
    for number, series in enumerate(plot.series):
        colour = COLOURS[number % len(COLOURS)]
        line = "none" if plot.points else ":" if series.published else STYLES[number % len(STYLES)]
        marker = {"marker": "o", "markersize": 4, "markerfacecolor": "none" if series.published else colour}
        axes.plot(series.x, series.y, color=colour, linestyle=line, label=_text(series.name), **marker)
        if len(series.band):
            low = [value - band for value, band in zip(series.y, series.band, strict=True)]
            high = [value + band for value, band in zip(series.y, series.band, strict=True)]
            axes.fill_between(series.x, low, high, color=colour, alpha=0.15, linewidth=0)
    if plot.diagonal:
        axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8, zorder=0)
    if plot.logarithmic:
        axes.set_xscale("log")
    axes.set_title(_text(plot.title), fontsize=10, loc="left")
    axes.set_xlabel(_text(plot.x))
    axes.set_ylabel(_text(plot.y))
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="best")


def _text(text: str) -> str:
    # Dollars begin formulas.
    return text.replace("$", r"\$")
