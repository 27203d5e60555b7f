"""How unlike tensors of a shape are, for each start, beside published numbers (table 9 of GHN-3)."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from ghn.analysis.diversity import Diversity
from ghn.analysis.published import distances
from ghn.draw.plots import COLOURS, checked_format, colour, literal, new_figure, plain_axes, short, write_figure

PUBLISHED = "published: MLP, GHN-2, GHN-3-XL/m16, and, the rightmost, trained"


def draw_diversity(rows: Sequence[Diversity], file: str | os.PathLike[str], about: str) -> None:
    """Draw the mean distance of each shape and start.

    Args:
        rows: What `diversity` gave; shapes of fewer than two tensors are left out.
        file: To write, .svg, .png or .pdf.
        about: The networks, in a line.

    Raises:
        ValueError: For another ending, without matplotlib, or if there is nothing to draw.
    """
    checked_format(file)
    sound = [row for row in rows if not math.isnan(row.mean)]
    if not sound:
        raise ValueError("there is nothing to draw: no shape has two tensors to compare")
    shapes = list(dict.fromkeys(row.asked for row in sound))
    starts = list(dict.fromkeys(row.start for row in sound))
    figure = new_figure(7.2, 1.6 + 0.28 * len(shapes) * (len(starts) + 1))
    axes = figure.add_subplot()
    ticks = []
    for group, asked in enumerate(reversed(shapes)):
        base = group * (len(starts) + 1)
        those = [row for row in sound if row.asked == asked]
        for row in those:
            height = base + len(starts) - 1 - starts.index(row.start)
            one = colour(starts.index(row.start))
            axes.barh(height, row.mean, height=0.75, color=one, alpha=0.85)
            axes.text(row.mean + 0.01, height, f"{row.mean:.3f} ({row.tensors} tensors)", fontsize=7, va="center")
        known = distances(those[0].shape, third=asked == "1024")
        for value in known.values():
            axes.plot(value, base - 0.65, "D", markerfacecolor="none", color=COLOURS[-1], markersize=4, clip_on=False)
        ticks.append((base + (len(starts) - 1) / 2, those[0].shape))
    for number, start in enumerate(starts):
        matched = any(row.matched for row in sound if row.start == start)
        axes.barh(0, 0, color=colour(number), label=short(start) + (", channels matched" if matched else ""))
    axes.plot([], [], "D", markerfacecolor="none", color=COLOURS[-1], linestyle="none", label=PUBLISHED)
    axes.set_yticks([place for place, _ in ticks], [shape for _, shape in ticks], fontsize=8)
    axes.set_xlim(0, 1.25)
    axes.set_xlabel("mean of 1 − |cos| over pairs of tensors: 0 alike, 1 orthogonal", fontsize=9)
    axes.set_title(literal(about), fontsize=9, loc="left")
    plain_axes(axes, grid="x")
    handles, labels = axes.get_legend_handles_labels()
    ordered = sorted(zip(handles, labels, strict=True), key=lambda pair: pair[1] == PUBLISHED)
    figure.legend(*zip(*ordered, strict=True), loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    write_figure(figure, file)
