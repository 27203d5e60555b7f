"""A computational graph as a picture: SVG, no other program needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from math import prod
from xml.sax.saxutils import escape

from ghn.common.text import printable
from ghn.draw.labels import CHARACTER, COLOURS, NAME_SIZE, OP_SIZE, Label, label_of, tooltip_of
from ghn.draw.placement import MARGIN, Placement, Point, place
from ghn.graph.computational_graph import ComputationalGraph, Node

INK, PALE_INK, LINE = "#1c2430", "#4a5361", "#8a919c"

CAPTION_SIZE = 12.0
CORNER = 5.0
"""Radius of an edge's corners, in pixels."""

BARE, KEPT = "#f4f5f7", "#ffffff"
"""Fill, where a picture shows what was predicted, of nodes without parameters and of those that keep theirs."""


def to_svg(graph: ComputationalGraph, *, predicted: Collection[str] | None = None) -> str:
    """Draw the graph as an SVG document.

    Nodes are coloured by primitive and show their parameter's name and shape (output × input channels × kernel);
    hovering shows every parameter in full. Long graphs are folded into columns.

    Args:
        graph: Any computational graph; some thousand nodes take a second or two.
        predicted: Names of the parameters that were predicted, `InitReport.predicted`. Only nodes with one of these are
            coloured then; those that keep their own parameters have a dashed line. None colours all nodes.

    Returns:
        A standalone XML document with a transparent background.
    """
    labels = [label_of(node, graph.parameters) for node in graph.nodes]
    placement = place(graph.edges, [(label.width, label.height) for label in labels])
    width = max(placement.width, 360.0)
    predicted = None if predicted is None else frozenset(predicted)
    header, header_height = _header(graph, width, predicted)
    height = placement.height + header_height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        "font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\">",
        f"<title>{_text(_summary(graph, predicted))}</title>",
        _STYLE,
        *header,
        f'<g transform="translate(0 {header_height:.0f})">',
        *_edge_elements(graph, placement),
        *(
            _box(graph, index, label, centre, _paint(graph.nodes[index], predicted))
            for index, (label, centre) in enumerate(zip(labels, placement.centres, strict=True))
        ),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    """Text of an element: every text of the document goes through this."""
    return escape(printable(text, keep="\n"))


_STYLE = f"""<style>
.e {{ fill: none; stroke: {LINE}; stroke-width: 1.2 }}
.e:hover {{ stroke: #e4572e; stroke-width: 2.6 }}
.o {{ font-size: {OP_SIZE:g}px; font-weight: 600; fill: {INK} }}
.s {{ font-weight: 400 }}
.n {{ font-size: {NAME_SIZE:g}px; fill: {PALE_INK} }}
.c {{ font-size: {CAPTION_SIZE:g}px; fill: {LINE} }}
.b {{ stroke: {PALE_INK}; stroke-width: 0.6 }}
.b:hover {{ stroke: #e4572e; stroke-width: 2 }}
text {{ pointer-events: none }}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">\
<path d="M0 1L8 4L0 7z" fill="{LINE}"/></marker></defs>"""


def _paint(node: Node, predicted: Collection[str] | None) -> str:
    """Attributes of a node's box."""
    if predicted is None or any(name in predicted for name in node.parameters):
        return f'fill="{COLOURS[node.op]}"'
    return f'fill="{KEPT}" stroke-dasharray="3 2"' if node.parameters else f'fill="{BARE}"'


def _box(graph: ComputationalGraph, index: int, label: Label, centre: Point, paint: str) -> str:
    left, top = centre.x - label.width / 2, centre.y - label.height / 2
    shape = f' <tspan class="s">{_text(label.shape)}</tspan>' if label.shape else ""
    baseline = top + (12.5 if label.name else 13.2)
    lines = (
        f'<text class="o" x="{centre.x:.1f}" y="{baseline:.1f}" text-anchor="middle">{_text(label.op)}{shape}</text>'
    )
    if label.name:
        lines += (
            f'<text class="n" x="{centre.x:.1f}" y="{top + 24.5:.1f}" text-anchor="middle">{_text(label.name)}</text>'
        )
    return (
        f'<g><rect class="b" x="{left:.1f}" y="{top:.1f}" width="{label.width:.1f}" height="{label.height:.1f}" '
        f'rx="4" {paint}><title>{_text(tooltip_of(graph, index))}</title></rect>{lines}</g>'
    )


def _edge_elements(graph: ComputationalGraph, placement: Placement) -> list[str]:
    return [
        f'<path class="e" d="{_rounded(route)}" marker-end="url(#a)"><title>'
        f"{_text(_caption(graph, producer))} → {_text(_caption(graph, consumer))}</title></path>"
        for (producer, consumer), route in zip(graph.edges.tolist(), placement.routes, strict=True)
    ]


def _caption(graph: ComputationalGraph, index: int) -> str:
    node = graph.nodes[index]
    return f"{index}: {printable(node.parameters[0]) if node.parameters else node.op}"


def _rounded(route: list[Point]) -> str:
    """SVG path data of an orthogonal line with rounded corners."""
    path = [f"M{route[0].x:.1f} {route[0].y:.1f}"]
    for before, corner, after in zip(route, route[1:], route[2:], strict=False):
        start, end = _towards(corner, before), _towards(corner, after)
        path.append(f"L{start.x:.1f} {start.y:.1f}Q{corner.x:.1f} {corner.y:.1f} {end.x:.1f} {end.y:.1f}")
    path.append(f"L{route[-1].x:.1f} {route[-1].y:.1f}")
    return "".join(path)


def _towards(corner: Point, other: Point) -> Point:
    length = abs(other.x - corner.x) + abs(other.y - corner.y)
    share = min(CORNER, length / 2) / length
    return Point(corner.x + (other.x - corner.x) * share, corner.y + (other.y - corner.y) * share)


def _header(graph: ComputationalGraph, width: float, predicted: Collection[str] | None) -> tuple[list[str], float]:
    """A line on the graph and the legend, broken to the drawing's width; and the height they take."""
    paints = [(node.op, _paint(node, predicted)) for node in graph.nodes]
    legend = Counter(_entry(*entry) for entry in paints)
    elements = []
    y = 22.0
    for line in _wrap(_summary(graph, predicted), int((width - 2 * MARGIN) / (CAPTION_SIZE * CHARACTER))):
        elements.append(f'<text class="c" x="{MARGIN:g}" y="{y:g}">{_text(line)}</text>')
        y += 17
    x, y = MARGIN, y - 5
    for name, paint in sorted(legend, key=_place_in_legend):
        text = f"{name} ×{legend[name, paint]}"
        size = len(text) * NAME_SIZE * CHARACTER + 12
        if x > MARGIN and x + size > width - MARGIN:
            x, y = MARGIN, y + 21
        elements.append(
            f'<rect class="b" x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="16" rx="3" {paint}/>'
            f'<text class="n" x="{x + size / 2:.1f}" y="{y + 11:.1f}" text-anchor="middle">{_text(text)}</text>'
        )
        x += size + 6
    return elements, y + 24


def _entry(op: str, paint: str) -> tuple[str, str]:
    """What a node counts as in the legend: its primitive, where it has its colour, or why it has none."""
    if COLOURS[op] in paint:
        return op, paint
    return ("kept" if KEPT in paint else "no parameters"), paint


def _place_in_legend(entry: tuple[str, str]) -> int:
    names = [*COLOURS, "kept", "no parameters"]
    return names.index(entry[0])


def _summary(graph: ComputationalGraph, predicted: Collection[str] | None) -> str:
    taken = [spec for name, spec in graph.parameters.items() if predicted is None or name in predicted]
    kept = len(graph.kept) + len(graph.parameters) - len(taken)
    text = f"{len(graph)} nodes, {len(graph.edges)} edges"
    if graph.parameters:
        elements = sum(prod(spec.shape) for spec in taken)
        text += f"; {elements:,} elements in {len(taken)} tensors {'to predict' if predicted is None else 'predicted'}"
    if kept:
        text += f"; others, kept: {kept}"
    return text


def _wrap(text: str, limit: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > limit:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
