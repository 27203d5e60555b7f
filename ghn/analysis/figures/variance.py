"""Variance of activations, layer by layer: a line for each start (figures 6 and 9 of GHN-3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ghn.analysis.records import Record
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

MOST_PANELS = 12
"""Networks that get a panel each; of more, each start gets a panel with all of them."""

LEAST = 1e-12
"""Variances below are drawn there: a logarithm has no zero."""

ACROSS = 3


def draw_variance(records: Sequence[Record], file: str | os.PathLike[str], about: str) -> None:
    """Draw variances over layers.

    Args:
        records: What `variance_records` gave; those that failed are left out.
        file: To write, .svg, .png or .pdf.
        about: The images, in a few words.

    Raises:
        ValueError: For another ending, without matplotlib, or if all failed.
    """
    checked_format(file)
    sound = [record for record in records if record.error is None]
    if not sound:
        raise ValueError("there are no variances to draw: every network failed")
    models = list(dict.fromkeys(record.model for record in sound))
    starts = list(dict.fromkeys(record.start for record in sound))
    title = f"variance of what each layer gives, over {about}"
    if len(models) <= MOST_PANELS:
        figure = _panels_of_models(sound, models, starts)
    else:
        figure = _panels_of_starts(sound, starts)
    figure.suptitle(literal(title), fontsize=10, x=0.01, ha="left")
    write_figure(figure, file)


def _panels_of_models(records: Sequence[Record], models: Sequence[str], starts: Sequence[str]) -> Any:
    across = min(ACROSS, len(models))
    down = -(-len(models) // across)
    figure = new_figure(max(7.2, 4.2 * across), 0.9 + 3.0 * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, model in zip(panels, models, strict=False):
        for number, start in enumerate(starts):
            for record in records:
                if (record.model, record.start) == (model, start):
                    y = _heights(record)
                    x = range(1, len(y) + 1)
                    dots = {"marker": "o", "markersize": 2.5} if len(y) <= 60 else {}
                    panel.plot(
                        x, y, color=colour(number), linestyle=style(number), linewidth=1.2, label=short(start), **dots
                    )
        _label(panel, literal(model), "layer, in the order of the forward pass")
        whole_ticks(panel.xaxis)
    for panel in panels[len(models) :]:
        panel.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=min(3, len(labels)), fontsize=8, frameon=False)
    return figure


def _panels_of_starts(records: Sequence[Record], starts: Sequence[str]) -> Any:
    across = min(ACROSS, len(starts))
    down = -(-len(starts) // across)
    figure = new_figure(max(7.2, 4.2 * across), 0.9 + 3.2 * down)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    depths = np.linspace(0, 1, 101)
    for number, (panel, start) in enumerate(zip(panels, starts, strict=False)):
        those = [_heights(record) for record in records if record.start == start]
        lines = [np.interp(depths, np.linspace(0, 1, len(y)), np.log10(y)) for y in those]
        for line in lines:
            panel.plot(depths, 10**line, color=colour(number), linewidth=0.5, alpha=0.35)
        middle = 10 ** np.nanmedian(lines, axis=0)
        panel.plot(depths, middle, color=colour(number), linewidth=2.2, label=f"median of {len(lines)} networks")
        _label(panel, short(start), "depth, as a share of the layers")
        panel.legend(fontsize=8, frameon=False, loc="best")
    for panel in panels[len(starts) :]:
        panel.set_visible(False)
    return figure


def _heights(record: Record) -> list[float]:
    """Variances that a logarithm has; what is not finite is a gap."""
    found = record.values["variances"]
    return [float("nan") if variance is None else max(LEAST, variance) for variance in found]


def _label(panel: Any, title: str, across: str) -> None:
    panel.set_yscale("log")
    panel.set_title(title, fontsize=9, loc="left")
    panel.set_xlabel(across, fontsize=8)
    panel.set_ylabel("variance", fontsize=8)
    panel.tick_params(labelsize=8)
    plain_axes(panel)
