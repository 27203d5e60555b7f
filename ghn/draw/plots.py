"""What pictures by matplotlib have in common: formats, colours, how they are written, labels that do not overlap."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ghn.common.files import replaced
from ghn.common.optional import require
from ghn.common.text import printable

FORMATS = (".svg", ".png", ".pdf")

COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by the colour-blind (Okabe & Ito 2008); what others are compared with is grey."""

STYLES = ("-", "-", "-", "-", "--", "--", "--", "--", "-.", ":")

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

LONGEST_NAME = 44
"""Characters of a name in a legend."""

DOTS = 150
"""Of a PNG, per inch."""


def checked_format(file: str | os.PathLike[str]) -> Path:
    """A picture's file.

    Raises:
        ValueError: For an ending that is no format of pictures.
    """
    path = Path(file)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path.name}: pictures end in {', '.join(FORMATS)}")
    return path


def new_figure(width: float, height: float, purpose: str = "a picture") -> Any:
    """An empty figure of so many inches, apart from whatever window or notebook there is.

    Raises:
        ValueError: Without matplotlib, with the command that installs it.
    """
    require("matplotlib", "plots", purpose)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Any, file: str | os.PathLike[str]) -> None:
    """Write a figure whole or not at all; the ending says how. The same figure gives the same file, whenever."""
    import matplotlib

    path = checked_format(file)
    form = path.suffix.lower()[1:]
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    with replaced(path) as partial, matplotlib.rc_context({"svg.hashsalt": "ghn"}):
        figure.savefig(partial, format=form, dpi=DOTS, metadata=undated)


def colour(number: int) -> str:
    """A colour for the so-and-so-manieth thing that is drawn."""
    return COLOURS[number % len(COLOURS)]


def style(number: int) -> str:
    """Its line's style."""
    return STYLES[number % len(STYLES)]


def marker(number: int) -> str:
    """Its marker: another one each time that colours begin anew."""
    return MARKERS[number // len(COLOURS) % len(MARKERS)]


def plain_axes(axes: Any, *, grid: str = "both") -> None:
    """Only the axes that are read, and a faint grid."""
    axes.grid(alpha=0.25, axis=grid)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def whole_ticks(axis: Any) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def plain_ticks(axis: Any) -> None:
    """Ticks of a logarithmic axis as plain numbers, at 1, 2, 5, 10 and so on."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def literal(text: str) -> str:
    """What matplotlib shows as it is: dollars begin formulas."""
    return printable(text).replace("$", r"\$")


def short(text: str) -> str:
    """A name that fits a legend."""
    return literal(text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…")


def name_points(axes: Any, points: Sequence[tuple[float, float]], names: Sequence[str], size: float = 7) -> int:
    """Write names beside points where there is room: none overlaps another one, or a point, or leaves the axes.

    Args:
        axes: Complete but for the names: what is drawn later may overlap them.
        points: In units of the data.
        names: As many; an empty one is not written.
        size: Of the letters, in points.

    Returns:
        How many were written; for the others there was no room.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    # Room that the names take must not move the axes.
    figure.set_layout_engine("none")
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    at = axes.transData.transform(points) if len(points) else []
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in at]
    written = 0
    offsets = [(6, 0, "left", "center"), (-6, 0, "right", "center"), (0, 6, "center", "bottom"),
               (0, -6, "center", "top")]  # fmt: skip
    for number, (point, name) in enumerate(zip(points, names, strict=True)):
        for dx, dy, across, up in offsets if name else ():
            label = axes.annotate(
                literal(name), point, (dx, dy), textcoords="offset points", ha=across, va=up, fontsize=size
            )
            box = label.get_window_extent(renderer)
            others = [*taken[:number], *taken[number + 1 :]]
            inside = box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
            if inside and not any(
                box.x0 < right and left < box.x1 and box.y0 < top and bottom < box.y1
                for left, bottom, right, top in others
            ):
                taken.append((box.x0, box.y0, box.x1, box.y1))
                written += 1
                break
            label.remove()
    return written
