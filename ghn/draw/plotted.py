"""A computational graph as PNG and PDF: the same picture as the SVG, by matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from ghn.common.optional import require
from ghn.draw.picture import INK, LINE, PALE_INK, Box, Picture, Text, picture_of, towards
from ghn.draw.placement import Point
from ghn.graph.computational_graph import ComputationalGraph

PIXEL = 1 / 96
"""Inches."""

POINTS = 72 * PIXEL
"""Of a pixel."""

FONT = "DejaVu Sans Mono"
"""Comes with matplotlib; its characters have the width that boxes are made for."""

SCALE = 2.0
"""Pixels of a PNG for one of the drawing."""

LARGEST = 16_000
"""Pixels of a PNG's side; larger drawings are scaled down."""

STYLES: dict[str, dict[str, Any]] = {
    "op": {"color": INK, "weight": "bold"},
    "shape": {"color": INK},
    "name": {"color": PALE_INK},
    "caption": {"color": PALE_INK},
    "times": {"color": PALE_INK, "weight": "bold"},
}


def to_png(graph: ComputationalGraph, *, fold: bool = True) -> bytes:
    """Draw the graph as a PNG on white, with two pixels for one of the SVG; arguments as for `to_svg`.

    Raises:
        ValueError: Without matplotlib.
    """
    picture = picture_of(graph, fold=fold)
    scale = min(SCALE, LARGEST / picture.width, LARGEST / picture.height)
    return _plotted(picture, "png", dpi=scale / PIXEL)


def to_pdf(graph: ComputationalGraph, *, fold: bool = True) -> bytes:
    """Draw the graph as a PDF of one page with the size of the drawing; arguments as for `to_svg`.

    Raises:
        ValueError: Without matplotlib.
    """
    return _plotted(picture_of(graph, fold=fold), "pdf", dpi=1 / PIXEL)


def _plotted(picture: Picture, kind: str, *, dpi: float) -> bytes:
    require("matplotlib", "plots", f"a picture as .{kind}")
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(picture.width * PIXEL, picture.height * PIXEL), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.set_axis_off()
    frames = [box for box in picture.boxes if box.kind == "frame"]
    axes.add_collection(
        _boxes(frames, facecolor=[_faint(LINE)], edgecolor=LINE, linewidth=POINTS, linestyle=(0, (4, 3)))
    )
    _add_lines(axes, picture)
    filled = [box for box in picture.boxes if box.kind != "frame"]
    fills = [box.fill for box in filled]
    lines = [(0, (3, 2)) if box.dashed else "-" for box in filled]
    axes.add_collection(
        _boxes(filled, facecolor=fills, edgecolor=PALE_INK, linewidth=0.6 * POINTS, linestyle=lines or "-")
    )
    for text in picture.texts:
        _add_text(axes, text)
    written = io.BytesIO()
    # Text stays text in a PDF, to be searched and copied.
    with rc_context({"pdf.fonttype": 42}), warnings.catch_warnings():
        # Characters that the font lacks are drawn as empty boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(written, format=kind, dpi=dpi, metadata={"Title": picture.title})
    return written.getvalue()


def _faint(colour: str) -> str:
    return f"{colour}1f"


def _boxes(boxes: Sequence[Box], **style: Any) -> Any:
    from matplotlib.collections import PathCollection
    from matplotlib.patches import BoxStyle

    shape = BoxStyle.Round(pad=0, rounding_size=4)
    paths = [shape(box.x, box.y, box.width, box.height, 1.0) for box in boxes]
    return PathCollection(paths, **style)


def _add_lines(axes: Any, picture: Picture) -> None:
    from matplotlib.collections import PathCollection, PolyCollection

    paths = [_rounded(line.route) for line in picture.lines]
    axes.add_collection(PathCollection(paths, facecolor="none", edgecolor=LINE, linewidth=1.2 * POINTS))
    heads = []
    for line in picture.lines:
        x, y = line.route[-1]
        heads.append([(x, y), (x - 3, y - 7), (x + 3, y - 7)])
    axes.add_collection(PolyCollection(heads, facecolor=LINE, edgecolor="none"))


def _rounded(route: Sequence[Point]) -> Any:
    """A line with rounded corners."""
    from matplotlib.path import Path

    points, codes = [route[0]], [Path.MOVETO]
    for before, corner, after in zip(route, route[1:], route[2:], strict=False):
        points += [towards(corner, before), corner, towards(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*points, route[-1]], [*codes, Path.LINETO])


def _add_text(axes: Any, text: Text) -> None:
    # Dollars begin formulas unless they are told not to.
    axes.text(
        text.x, text.y, text.text, family=FONT, fontsize=text.size * POINTS, parse_math=False, **STYLES[text.kind]
    )
