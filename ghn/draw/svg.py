"""A computational graph as a picture: SVG, no other program needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from xml.sax.saxutils import escape

from ghn.common.text import printable
from ghn.draw.labels import NAME_SIZE, OP_SIZE
from ghn.draw.picture import CAPTION_SIZE, INK, LINE, PALE_INK, TIMES_SIZE, Box, Line, Text, picture_of, towards
from ghn.draw.placement import Point
from ghn.graph.computational_graph import ComputationalGraph


def to_svg(graph: ComputationalGraph, *, fold: bool = True, predicted: Collection[str] | None = None) -> str:
    """Draw the graph as an SVG document.

    Nodes are coloured by primitive and show their parameter's name and shape (output × input channels × kernel);
    hovering shows every parameter in full. Long graphs are folded into columns.

    Args:
        graph: Any computational graph; some thousand nodes take a second or two.
        fold: Draw equal blocks that follow each other once, in a frame with the number of times.
        predicted: Names of the parameters that were predicted, to colour only these (see `picture_of`).

    Returns:
        A standalone XML document with a transparent background.
    """
    picture = picture_of(graph, fold=fold, predicted=predicted)
    size = f"{picture.width:.0f}", f"{picture.height:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}" role="img" '
        "font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\">",
        f"<title>{_escaped(picture.title)}</title>",
        _STYLE,
        *(_box(box) for box in picture.boxes if box.kind == "frame"),
        *map(_line, picture.lines),
        *(_box(box) for box in picture.boxes if box.kind != "frame"),
        *map(_text, picture.texts),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Text of an element: every text of the document goes through this."""
    return escape(printable(text, keep="\n"))


_STYLE = f"""<style>
.e {{ fill: none; stroke: {LINE}; stroke-width: 1.2 }}
.e:hover {{ stroke: #e4572e; stroke-width: 2.6 }}
.op {{ font-size: {OP_SIZE:g}px; font-weight: 600; fill: {INK} }}
.shape {{ font-size: {OP_SIZE:g}px; fill: {INK} }}
.name {{ font-size: {NAME_SIZE:g}px; fill: {PALE_INK} }}
.caption {{ font-size: {CAPTION_SIZE:g}px; fill: {LINE} }}
.times {{ font-size: {TIMES_SIZE:g}px; font-weight: 600; fill: {LINE} }}
.node, .legend {{ stroke: {PALE_INK}; stroke-width: 0.6 }}
.node:hover {{ stroke: #e4572e; stroke-width: 2 }}
.frame {{ fill: {LINE}; fill-opacity: 0.12; stroke: {LINE}; stroke-width: 1; stroke-dasharray: 4 3 }}
text {{ pointer-events: none }}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">\
<path d="M0 1L8 4L0 7z" fill="{LINE}"/></marker></defs>"""


def _box(box: Box) -> str:
    fill = f' fill="{box.fill}"' if box.fill else ""
    fill += ' stroke-dasharray="3 2"' if box.dashed else ""
    title = f"<title>{_escaped(box.tooltip)}</title>" if box.tooltip else ""
    return (
        f'<rect class="{box.kind}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{3 if box.kind == "legend" else 4}"{fill}>{title}</rect>'
    )


def _text(text: Text) -> str:
    # The length makes other fonts as wide as the box was made for; one that is a little off is not seen.
    fit = f' textLength="{text.width:.1f}" lengthAdjust="spacingAndGlyphs"' if len(text.text) > 1 else ""
    return f'<text class="{text.kind}" x="{text.x:.1f}" y="{text.y:.1f}"{fit}>{_escaped(text.text)}</text>'


def _line(line: Line) -> str:
    title = f"<title>{_escaped(line.tooltip)}</title>"
    return f'<path class="e" d="{_rounded(line.route)}" marker-end="url(#a)">{title}</path>'


def _rounded(route: Sequence[Point]) -> str:
    """SVG path data of an orthogonal line with rounded corners."""
    path = [f"M{route[0].x:.1f} {route[0].y:.1f}"]
    for before, corner, after in zip(route, route[1:], route[2:], strict=False):
        start, end = towards(corner, before), towards(corner, after)
        path.append(f"L{start.x:.1f} {start.y:.1f}Q{corner.x:.1f} {corner.y:.1f} {end.x:.1f} {end.y:.1f}")
    path.append(f"L{route[-1].x:.1f} {route[-1].y:.1f}")
    return "".join(path)
