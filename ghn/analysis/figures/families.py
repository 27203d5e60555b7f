"""Networks as points, coloured by family, with names where there is room: statistics of graphs, and the map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ghn.analysis.architectures import ArchitectureMap, families_in_order
from ghn.analysis.statistics import GraphStatistics
from ghn.draw.plots import (
    checked_format,
    colour,
    literal,
    marker,
    name_points,
    new_figure,
    plain_axes,
    plain_ticks,
    short,
    write_figure,
)

MOST_FAMILIES = 24
"""That a legend names; the others are one."""


def draw_map(found: ArchitectureMap, file: str | os.PathLike[str], about: str) -> None:
    """Draw a map of architectures.

    Args:
        found: The map.
        file: To write, .svg, .png or .pdf.
        about: Whose encoder it is, in a line.

    Raises:
        ValueError: For another ending, or without matplotlib.
    """
    points = [(float(x), float(y)) for x, y in found.points]
    figure, axes = _scatter(file, points, found.families)
    first, second = (f"{100 * share:.0f} % of the variance" for share in found.explained)
    axes.set_xlabel(f"first principal component ({first})", fontsize=9)
    axes.set_ylabel(f"second principal component ({second})", fontsize=9)
    axes.set_title(literal(about), fontsize=9, loc="left")
    name_points(axes, points, found.models)
    write_figure(figure, file)


def draw_statistics(rows: Sequence[GraphStatistics], file: str | os.PathLike[str], about: str) -> None:
    """Draw the size of graphs against the lengths of their paths.

    Args:
        rows: What `statistics` gave.
        file: To write, .svg, .png or .pdf.
        about: The networks, in a line.

    Raises:
        ValueError: For another ending, or without matplotlib.
    """
    points = [(float(row.nodes), row.path_length) for row in rows]
    figure, axes = _scatter(file, points, [row.family for row in rows])
    axes.set_xscale("log")
    plain_ticks(axes.xaxis)
    axes.set_xlabel("nodes of the graph", fontsize=9)
    axes.set_ylabel("mean shortest path between two nodes, edges", fontsize=9)
    axes.set_title(literal(about), fontsize=9, loc="left")
    name_points(axes, points, [row.model for row in rows])
    write_figure(figure, file)


def _scatter(
    file: str | os.PathLike[str], points: Sequence[tuple[float, float]], families: Sequence[str]
) -> tuple[Any, Any]:
    checked_format(file)
    figure = new_figure(9.0, 5.6)
    axes = figure.add_subplot()
    named = families_in_order(families)
    shown = named if len(named) <= MOST_FAMILIES else named[: MOST_FAMILIES - 1]
    groups = [(family, [family]) for family in shown]
    if len(shown) < len(named):
        groups.append((f"{len(named) - len(shown)} other families", named[len(shown) :]))
    for number, (label, members) in enumerate(groups):
        those = [point for point, family in zip(points, families, strict=True) if family in members]
        axes.scatter(
            [x for x, _ in those],
            [y for _, y in those],
            s=34,
            color=colour(number),
            marker=marker(number),
            edgecolors="white",
            linewidths=0.4,
            label=f"{short(label)} ({len(those)})",
        )
    plain_axes(axes)
    axes.margins(0.09)
    figure.legend(loc="outside right upper", fontsize=7.5, frameon=False)
    return figure, axes
