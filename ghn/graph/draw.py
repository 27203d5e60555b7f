"""A computational graph as a picture (SVG, no other program needed), as DOT, as JSON and as a networkx graph."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.placement import MARGIN, Placement, Point, place

if TYPE_CHECKING:
    import networkx

JSON_FORMAT = "ghn-computational-graph"
JSON_VERSION = 1

COLOURS = {
    "conv": "#9ecae9",
    "sep_conv": "#7fd0d6",
    "dil_conv": "#b3c2f2",
    "bias": "#d8dee8",
    "bn": "#b5dfa2",
    "ln": "#d3e58c",
    "pos_enc": "#f3b3dc",
    "max_pool": "#f7c480",
    "avg_pool": "#f6dc8a",
    "glob_avg": "#eec35c",
    "msa": "#cdb4ec",
    "cse": "#f0aac0",
    "sum": "#f49a86",
    "concat": "#d9b59a",
    "input": "#b9bcc4",
}
"""Fill of a primitive's boxes: light enough for dark text, so that a picture reads on light and on dark pages."""
INK, PALE_INK, LINE = "#1c2430", "#4a5361", "#8a919c"

OP_SIZE, NAME_SIZE, CAPTION_SIZE = 11.0, 9.0, 12.0
CHARACTER = 0.602
"""Width of a monospaced character over its font size."""
NAME_LIMIT = 32
"""Characters of a parameter's name that a box shows; the tooltip has all."""
CORNER = 5.0
"""Radius of an edge's corners, in pixels."""


class _Label(NamedTuple):
    """What a box shows, and the size it needs in pixels."""

    op: str
    shape: str
    name: str
    width: float
    height: float


# SVG


def to_svg(graph: ComputationalGraph) -> str:
    """Draw the graph as an SVG document.

    Nodes are coloured by primitive and show their parameter's name and shape (output × input channels × kernel);
    hovering shows every parameter in full. Long graphs are folded into columns.

    Args:
        graph: Any computational graph; some thousand nodes take a second or two.

    Returns:
        A standalone XML document with a transparent background.
    """
    labels = [_label(node) for node in graph.nodes]
    placement = place(graph.edges, [(label.width, label.height) for label in labels])
    width = max(placement.width, 360.0)
    header, header_height = _header(graph, width)
    height = placement.height + header_height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        "font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\">",
        f"<title>{escape(_summary(graph))}</title>",
        _STYLE,
        *header,
        f'<g transform="translate(0 {header_height:.0f})">',
        *_edge_elements(graph, placement),
        *(
            _box(graph, index, label, centre)
            for index, (label, centre) in enumerate(zip(labels, placement.centres, strict=True))
        ),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


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


def _label(node: Node) -> _Label:
    shape = "×".join(map(str, node.shape)) if node.shape else ""
    if node.op in ("max_pool", "avg_pool") and node.shape:
        shape = "×".join(map(str, node.shape[2:]))
    elif len(node.shape or ()) == 4 and node.shape is not None and node.shape[2:] == (1, 1):
        shape = "×".join(map(str, node.shape[:2])) if node.shape[1] > 1 else str(node.shape[0])
    name = _short_name(node.parameters)
    first = len(node.op) + (len(shape) + 1 if shape else 0)
    width = max(first * OP_SIZE * CHARACTER, len(name) * NAME_SIZE * CHARACTER, 30.0) + 12
    return _Label(node.op, shape, name, round(width, 1), 30.0 if name else 19.0)


def _short_name(parameters: tuple[str, ...]) -> str:
    """The parameter's name, or the module's where several belong to the node; a long one without its first parts."""
    if not parameters:
        return ""
    name = parameters[0]
    if len(parameters) > 1:
        name = name.rpartition(".")[0] or name
    if len(name) <= NAME_LIMIT:
        return name
    dot = name.find(".", len(name) - NAME_LIMIT)
    return "…" + (name[dot + 1 :] if dot >= 0 else name[1 - NAME_LIMIT :])


def _box(graph: ComputationalGraph, index: int, label: _Label, centre: Point) -> str:
    left, top = centre.x - label.width / 2, centre.y - label.height / 2
    shape = f' <tspan class="s">{label.shape}</tspan>' if label.shape else ""
    baseline = top + (12.5 if label.name else 13.2)
    lines = f'<text class="o" x="{centre.x:.1f}" y="{baseline:.1f}" text-anchor="middle">{label.op}{shape}</text>'
    if label.name:
        lines += (
            f'<text class="n" x="{centre.x:.1f}" y="{top + 24.5:.1f}" text-anchor="middle">{escape(label.name)}</text>'
        )
    return (
        f'<g><rect class="b" x="{left:.1f}" y="{top:.1f}" width="{label.width:.1f}" height="{label.height:.1f}" '
        f'rx="4" fill="{COLOURS[label.op]}"><title>{escape(_tooltip(graph, index))}</title></rect>{lines}</g>'
    )


def _tooltip(graph: ComputationalGraph, index: int) -> str:
    node = graph.nodes[index]
    lines = [f"{index}: {node.op}"]
    if node.shape and not node.parameters:
        lines[0] += f" {node.shape}"
    for name in node.parameters:
        spec = graph.parameters.get(name)
        details = f" {spec.shape} {spec.role.value}{', head' if spec.head else ''}" if spec else ""
        lines.append(name + details)
    return "\n".join(lines)


def _edge_elements(graph: ComputationalGraph, placement: Placement) -> list[str]:
    return [
        f'<path class="e" d="{_rounded(route)}" marker-end="url(#a)"><title>'
        f"{escape(_caption(graph, producer))} → {escape(_caption(graph, consumer))}</title></path>"
        for (producer, consumer), route in zip(graph.edges.tolist(), placement.routes, strict=True)
    ]


def _caption(graph: ComputationalGraph, index: int) -> str:
    node = graph.nodes[index]
    return f"{index}: {node.parameters[0] if node.parameters else node.op}"


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


def _header(graph: ComputationalGraph, width: float) -> tuple[list[str], float]:
    """A line on the graph and the legend, broken to the drawing's width; and the height they take."""
    counts = Counter(node.op for node in graph.nodes)
    elements = []
    y = 22.0
    for line in _wrap(_summary(graph), int((width - 2 * MARGIN) / (CAPTION_SIZE * CHARACTER))):
        elements.append(f'<text class="c" x="{MARGIN:g}" y="{y:g}">{escape(line)}</text>')
        y += 17
    x, y = MARGIN, y - 5
    for op in (op for op in COLOURS if counts[op]):
        text = f"{op} ×{counts[op]}"
        size = len(text) * NAME_SIZE * CHARACTER + 12
        if x > MARGIN and x + size > width - MARGIN:
            x, y = MARGIN, y + 21
        elements.append(
            f'<rect class="b" x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="16" rx="3" fill="{COLOURS[op]}"/>'
            f'<text class="n" x="{x + size / 2:.1f}" y="{y + 11:.1f}" text-anchor="middle">{text}</text>'
        )
        x += size + 6
    return elements, y + 24


def _summary(graph: ComputationalGraph) -> str:
    predicted = sum(int(np.prod(spec.shape)) for spec in graph.parameters.values())
    text = f"{len(graph)} nodes, {len(graph.edges)} edges"
    if graph.parameters:
        text += f"; {predicted:,} elements in {len(graph.parameters)} tensors to predict"
    if graph.kept:
        text += f"; others, kept: {len(graph.kept)}"
    return text


def _wrap(text: str, limit: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > limit:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


# Other formats


def to_dot(graph: ComputationalGraph) -> str:
    """The graph in Graphviz's DOT language, nodes named by their index."""
    lines = ["digraph ghn {", '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=10];']
    for index, node in enumerate(graph.nodes):
        label = _label(node)
        text = _quote(f"{label.op} {label.shape}".strip() + (f"\n{label.name}" if label.name else ""))
        tooltip = _quote(_tooltip(graph, index))
        lines.append(f'  {index} [label={text}, tooltip={tooltip}, fillcolor="{COLOURS[node.op]}"];')
    lines += [f"  {producer} -> {consumer};" for producer, consumer in graph.edges.tolist()]
    return "\n".join([*lines, "}"]) + "\n"


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def to_json(graph: ComputationalGraph) -> str:
    """The graph as JSON, with everything `from_json` needs to build an equal one."""
    document = {
        "format": JSON_FORMAT,
        "version": JSON_VERSION,
        "traced_by": graph.traced_by,
        "nodes": [{"op": node.op, "parameters": node.parameters, "shape": node.shape} for node in graph.nodes],
        "edges": graph.edges.tolist(),
        "parameters": {
            name: {
                "node": spec.node,
                "shape": spec.shape,
                "role": spec.role.value,
                "axes": spec.axes,
                "stack": spec.stack,
                "view": spec.view,
                "head": spec.head,
            }
            for name, spec in graph.parameters.items()
        },
        "kept": dict(graph.kept),
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def from_json(text: str) -> ComputationalGraph:
    """Build the graph that `to_json` wrote.

    Args:
        text: The JSON document.

    Raises:
        ValueError: If the text is no such document.
    """
    try:
        document: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not a graph: the text is no JSON ({error}); give what to_json wrote") from error
    if not isinstance(document, dict) or document.get("format") != JSON_FORMAT:
        raise ValueError(f"not a graph: the JSON has no format {JSON_FORMAT!r}; give what to_json wrote")
    if document.get("version") != JSON_VERSION:
        raise ValueError(
            f"the graph has version {document.get('version')!r}, this program reads {JSON_VERSION}; write it anew"
        )
    try:
        return _build(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a graph: a field is missing or of the wrong kind ({error!r}); write it anew") from error


def _build(document: dict[str, Any]) -> ComputationalGraph:
    nodes = tuple(
        Node(node["op"], tuple(node["parameters"]), None if node["shape"] is None else tuple(node["shape"]))
        for node in document["nodes"]
    )
    parameters = {
        name: ParameterSpec(
            name=name,
            node=spec["node"],
            shape=tuple(spec["shape"]),
            role=Role(spec["role"]),
            axes=tuple(spec["axes"]),
            stack=spec["stack"],
            view=tuple(spec.get("view", ())),
            head=spec["head"],
        )
        for name, spec in document["parameters"].items()
    }
    edges = np.array(document["edges"], dtype=np.int64).reshape(-1, 2)
    return ComputationalGraph(nodes, edges, parameters, document["kept"], document["traced_by"])


def to_networkx(graph: ComputationalGraph) -> networkx.DiGraph:
    """The graph for networkx: nodes 0 to N − 1 with `op`, `parameters` and `shape`; `kept` and `traced_by` on it."""
    import networkx

    exported = networkx.DiGraph(kept=dict(graph.kept), traced_by=graph.traced_by)
    for index, node in enumerate(graph.nodes):
        exported.add_node(index, op=node.op, parameters=node.parameters, shape=node.shape)
    exported.add_edges_from(graph.edges.tolist())
    return exported


WRITERS = {".svg": to_svg, ".json": to_json, ".dot": to_dot, ".gv": to_dot}
"""What `save` writes, by the file's suffix."""


def save(graph: ComputationalGraph, path: str | os.PathLike[str]) -> None:
    """Write the graph to a file, whole or not at all.

    Args:
        graph: The graph.
        path: File to write; its suffix chooses the format: .svg, .json, .dot or .gv.

    Raises:
        ValueError: For another suffix.
        OSError: If the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"cannot write a graph as {path.suffix or 'a file without suffix'}: use .svg, .json or .dot")
    text = WRITERS[path.suffix.lower()](graph)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
