"""Figures of experiments (matplotlib)."""

from __future__ import annotations

import os
import textwrap
from typing import Any

from ghn.draw.plots import (
    checked_format,
    colour,
    literal,
    new_figure,
    plain_axes,
    short,
    style,
    whole_ticks,
    write_figure,
)
from ghn.experiments.report import Picture, Plot, Report

FORMS = "os^Dvx"
"""Of the points of scattered series."""


def draw(report: Report, file: str | os.PathLike[str]) -> None:
    """Draw an experiment's figures side by side.

    Args:
        report: With at least one figure that has points.
        file: To write, .svg, .png or .pdf.

    Raises:
        ValueError: For another ending, without matplotlib, or without points.
    """
    file = checked_format(file)
    parts = report.to_draw
    if not parts:
        raise ValueError(f"{report.name} has no figure to draw yet")
    wide = len(report.plots) > 0
    figure = new_figure(
        (1.2 + 4.8 * len(parts)) if wide else 2.8 * len(parts), 4.2 if wide else 3.6, "a figure of an experiment"
    )
    for number, part in enumerate(parts):
        axes = figure.add_subplot(1, len(parts), number + 1)
        if isinstance(part, Plot):
            _draw_plot(axes, part)
        else:
            _draw_picture(axes, part)
    what = f"{report.name}, {report.title}; scale {report.scale}, images of {report.data}"
    lines = textwrap.wrap(what, (84 if wide else 46) * len(parts))
    figure.suptitle("\n".join(map(literal, lines)), fontsize=8, x=0.01, ha="left", color="#555555")
    write_figure(figure, file)


def _draw_plot(axes: Any, plot: Plot) -> None:
    for number, series in enumerate(plot.series):
        own = colour(number)
        line = "none" if plot.points else ":" if series.published else style(number)
        # Points may lie on each other: those of a series have a form of their own as well.
        form = FORMS[number % len(FORMS)] if plot.points else "o"
        marker = {
            "marker": form,
            "markersize": 6 - number % 3 if plot.points else 4,
            "markerfacecolor": "none" if series.published else own,
        }
        axes.plot(series.x, series.y, color=own, linestyle=line, label=short(series.name), **marker)
        if len(series.band):
            low = [value - band for value, band in zip(series.y, series.band, strict=True)]
            high = [value + band for value, band in zip(series.y, series.band, strict=True)]
            axes.fill_between(series.x, low, high, color=own, alpha=0.15, linewidth=0)
    if plot.diagonal:
        axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8, zorder=0)
    if plot.logarithmic:
        axes.set_xscale("log")
    elif all(float(x).is_integer() for series in plot.series for x in series.x):
        whole_ticks(axes.xaxis)
    if plot.logarithmic_y:
        axes.set_yscale("log")
    axes.set_title(literal(plot.title), fontsize=10, loc="left")
    axes.set_xlabel(literal(plot.x))
    axes.set_ylabel(literal(plot.y))
    plain_axes(axes)
    axes.legend(fontsize=7, frameon=False, loc="best")


def _draw_picture(axes: Any, picture: Picture) -> None:
    import torch

    from ghn.analysis.figures.filters import mosaic

    axes.set_axis_off()
    axes.imshow(mosaic(torch.tensor(picture.filters)), interpolation="nearest")
    axes.set_title(literal(picture.title), fontsize=9)
