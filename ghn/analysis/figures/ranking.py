"""Rank correlations of scores with accuracies, with intervals, beside published ones (table 13 of GHN-3)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from ghn.analysis.ranking import Correlation
from ghn.draw.plots import COLOURS, checked_format, literal, new_figure, plain_axes, short, write_figure


def draw_ranking(
    rows: Sequence[Correlation],
    file: str | os.PathLike[str],
    about: str,
    published: Mapping[str, float | None] | None = None,
) -> None:
    """Draw τ of each score.

    Args:
        rows: What `correlations` gave; undefined ones are left out.
        file: To write, .svg, .png or .pdf.
        about: Networks, images and accuracies, in a line.
        published: τ by score, where there is one.

    Raises:
        ValueError: For another ending, without matplotlib, or if all are undefined.
    """
    checked_format(file)
    sound = sorted((row for row in rows if not math.isnan(row.tau)), key=lambda row: row.tau)
    if not sound:
        raise ValueError(f"there is no correlation to draw: {rows[0].reason if rows else 'no score was taken'}")
    starts = list(dict.fromkeys(row.start for row in rows))
    figure = new_figure(7.2, 1.4 + 0.3 * len(sound))
    axes = figure.add_subplot()
    for place, row in enumerate(sound):
        one = COLOURS[1 + starts.index(row.start) % (len(COLOURS) - 1)]
        axes.plot([row.low, row.high], [place, place], color=one, linewidth=2, alpha=0.6)
        axes.plot([row.tau], [place], "o", color=one)
        known = (published or {}).get(row.score)
        if known is not None and row.start == starts[0]:
            axes.plot([known], [place], "D", markerfacecolor="none", color=COLOURS[-1], markersize=6)
    axes.plot([], [], "o-", color=COLOURS[1], label="here, interval of 95 %")
    if published:
        axes.plot([], [], "D", markerfacecolor="none", color=COLOURS[-1], label="published, on ImageNet")
    names = [row.score if len(starts) == 1 else f"{row.score}, {row.start}" for row in sound]
    axes.set_yticks(range(len(sound)), [short(name) for name in names], fontsize=8)
    axes.axvline(0, color=COLOURS[0], linewidth=0.8)
    axes.set_xlim(-1.02, 1.02)
    axes.set_ylim(-0.6, len(sound) - 0.4)
    axes.set_xlabel("Kendall's τ, from −1 to 1", fontsize=9)
    axes.set_title(literal(about), fontsize=9, loc="left")
    plain_axes(axes, grid="x")
    figure.legend(loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    write_figure(figure, file)
