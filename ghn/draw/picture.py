"""What a picture of a graph consists of: boxes, lines and texts in pixels, for every format alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from ghn.common.text import printable
from ghn.draw.folding import Folded, Repeat, folded, unfolded
from ghn.draw.labels import CHARACTER, COLOURS, NAME_SIZE, OP_SIZE, Label, label_of, tooltip_of
from ghn.draw.placement import MARGIN, Placement, Point, place
from ghn.graph.computational_graph import ComputationalGraph, Node

INK, PALE_INK, LINE = "#1c2430", "#4a5361", "#8a919c"

CAPTION_SIZE = 12.0
TIMES_SIZE = 12.0
"""Of the number of times that a block occurs."""

CORNER = 5.0
"""Radius of an edge's corners, in pixels."""

BARE, KEPT = "#f4f5f7", "#ffffff"
"""Fill, where a picture shows what was predicted, of nodes without parameters and of those that keep theirs."""

FRAME = 4.0
"""Pixels between a block's frame and its boxes."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle with rounded corners; `kind` is "node", "legend" or "frame"."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    fill: str | None = None
    tooltip: str = ""
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Text:
    """A line of text that is `width` pixels wide whatever the font: "op", "shape", "name", "caption" or "times".

    `x` is its left end, `y` its baseline.
    """

    text: str
    x: float
    y: float
    width: float
    size: float
    kind: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """From one box to another along corners; consecutive ones share x or y. An arrow's head is at the end."""

    route: Sequence[Point]
    tooltip: str = ""


@dataclass(kw_only=True)
class Picture:
    """A drawing, y downwards.

    Attributes:
        width: In pixels.
        height: In pixels.
        title: What it shows.
        boxes: In the order of drawing, frames first.
        lines: Drawn over the frames, and under the other boxes.
        texts: Drawn over all.
    """

    width: float
    height: float
    title: str
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def write(self, text: str, x: float, y: float, size: float, kind: str, *, centred: bool = False) -> None:
        """Add a text at its left end or its middle."""
        width = width_of(text, size)
        self.texts.append(Text(text=text, x=x - width / 2 if centred else x, y=y, width=width, size=size, kind=kind))


def towards(corner: Point, other: Point) -> Point:
    """Where the rounding of a corner begins."""
    length = abs(other.x - corner.x) + abs(other.y - corner.y)
    share = min(CORNER, length / 2) / length
    return Point(corner.x + (other.x - corner.x) * share, corner.y + (other.y - corner.y) * share)


def width_of(text: str, size: float) -> float:
    """Of a text in pixels: characters are as wide as those of a monospaced font."""
    return len(text) * size * CHARACTER


def picture_of(graph: ComputationalGraph, *, fold: bool = True, predicted: Collection[str] | None = None) -> Picture:
    """The drawing of a graph.

    Args:
        graph: Any computational graph; some thousand nodes take a second or two.
        fold: Draw equal blocks that follow each other once, in a frame with the number of times.
        predicted: Names of the parameters that were predicted, `InitReport.predicted`. Only nodes with one of these are
            coloured then, and no blocks folded; those that keep their own parameters have a dashed line. None colours
            all nodes.
    """
    predicted = None if predicted is None else frozenset(predicted)
    shown = folded(graph) if fold and predicted is None else unfolded(graph)
    labels = [label_of(graph.nodes[index], graph.parameters) for index in shown.nodes]
    blocks = [_positions(shown, repeat) for repeat in shown.repeats]
    placement = place(shown.edges, _sizes(shown, labels), blocks=blocks)
    width = max(placement.width, 360.0)
    picture = Picture(width=width, height=0, title=summary(graph, shown, predicted))
    top = _header(picture, graph, predicted)
    picture.height = top + placement.height
    centres = [Point(centre.x, centre.y + top) for centre in placement.centres]
    _frames(picture, shown, labels, centres)
    _lines(picture, graph, shown, placement, top)
    for index, label, centre in zip(shown.nodes, labels, centres, strict=True):
        _node(picture, label, centre, _fill(graph.nodes[index], predicted), tooltip_of(graph, index))
    return picture


def _positions(shown: Folded, repeat: Repeat) -> range:
    """Of a repeated block's nodes among those that are drawn."""
    first = shown.nodes.index(repeat.first)
    return range(first, first + repeat.length)


def _times(repeat: Repeat) -> str:
    return f"× {repeat.times}"


def _sizes(shown: Folded, labels: Sequence[Label]) -> list[tuple[float, float]]:
    """Of the boxes; beside the first of a block there is room for how often it occurs."""
    sizes = [(label.width, label.height) for label in labels]
    for repeat in shown.repeats:
        first = _positions(shown, repeat)[0]
        width, height = sizes[first]
        sizes[first] = (width + 2 * (width_of(_times(repeat), TIMES_SIZE) + 2 * FRAME), height)
    return sizes


def _frames(picture: Picture, shown: Folded, labels: Sequence[Label], centres: Sequence[Point]) -> None:
    """Around each repeated block, in each column that it is in."""
    for repeat in shown.repeats:
        positions = _positions(shown, repeat)
        for number, piece in enumerate(_by_column(positions, centres)):
            right = max(centres[at].x + labels[at].width / 2 for at in piece) + FRAME
            if number == 0:
                at = piece[0]
                beside = centres[at].x + labels[at].width / 2 + FRAME
                baseline = centres[at].y + TIMES_SIZE / 3
                picture.write(_times(repeat), beside, baseline, TIMES_SIZE, "times")
                right = max(right, beside + picture.texts[-1].width + FRAME)
            left = min(centres[at].x - labels[at].width / 2 for at in piece) - FRAME
            top = min(centres[at].y - labels[at].height / 2 for at in piece) - FRAME
            bottom = max(centres[at].y + labels[at].height / 2 for at in piece) + FRAME
            picture.boxes.append(
                Box(
                    x=left,
                    y=top,
                    width=right - left,
                    height=bottom - top,
                    kind="frame",
                    tooltip=f"{repeat.length} nodes, {repeat.times} times: {repeat.first} to {repeat.end - 1}",
                )
            )


def _by_column(positions: Iterable[int], centres: Sequence[Point]) -> list[list[int]]:
    """The nodes of a block, a list for each column: where a long drawing goes on at the top, a new one begins."""
    pieces: list[list[int]] = []
    lowest = float("inf")
    for position in positions:
        # Rows of a column go down; a node beside another may stand a little higher.
        if not pieces or centres[position].y < lowest - JUMP:
            pieces.append([])
            lowest = 0.0
        pieces[-1].append(position)
        lowest = max(lowest, centres[position].y)
    return pieces


JUMP = 250.0
"""Pixels upwards that mean another column."""


def _lines(picture: Picture, graph: ComputationalGraph, shown: Folded, placement: Placement, top: float) -> None:
    for (producer, consumer), route in zip(shown.edges.tolist(), placement.routes, strict=True):
        ends = _caption(graph, shown.nodes[producer]), _caption(graph, shown.nodes[consumer])
        moved = [Point(point.x, point.y + top) for point in route]
        picture.lines.append(Line(route=moved, tooltip=" → ".join(ends)))


def _caption(graph: ComputationalGraph, index: int) -> str:
    node = graph.nodes[index]
    return f"{index}: {printable(node.parameters[0]) if node.parameters else node.op}"


def _fill(node: Node, predicted: Collection[str] | None) -> str:
    if predicted is None or any(name in predicted for name in node.parameters):
        return COLOURS[node.op]
    return KEPT if node.parameters else BARE


def _node(picture: Picture, label: Label, centre: Point, fill: str, tooltip: str) -> None:
    left, top = centre.x - label.width / 2, centre.y - label.height / 2
    picture.boxes.append(
        Box(
            x=left,
            y=top,
            width=label.width,
            height=label.height,
            kind="node",
            fill=fill,
            tooltip=tooltip,
            dashed=fill == KEPT,
        )
    )
    baseline = top + (12.5 if label.name else 13.2)
    # Two texts, each of its own width: where a font is another one, neither runs into the other.
    space = OP_SIZE * CHARACTER if label.shape else 0.0
    op, shape = width_of(label.op, OP_SIZE), width_of(label.shape, OP_SIZE)
    begin = centre.x - (op + space + shape) / 2
    picture.write(label.op, begin, baseline, OP_SIZE, "op")
    if label.shape:
        picture.write(label.shape, begin + op + space, baseline, OP_SIZE, "shape")
    if label.name:
        picture.write(label.name, centre.x, top + 24.5, NAME_SIZE, "name", centred=True)


def _header(picture: Picture, graph: ComputationalGraph, predicted: Collection[str] | None) -> float:
    """A line on the graph and the legend, broken to the drawing's width; gives the height they take."""
    counts = Counter(_entry(node, _fill(node, predicted)) for node in graph.nodes)
    y = 22.0
    for line in _wrap(picture.title, int((picture.width - 2 * MARGIN) / (CAPTION_SIZE * CHARACTER))):
        picture.write(line, MARGIN, y, CAPTION_SIZE, "caption")
        y += 17
    x, y = MARGIN, y - 5
    for entry in (entry for entry in LEGEND if counts[entry]):
        text = f"{entry} ×{counts[entry]}"
        size = width_of(text, NAME_SIZE) + 12
        if x > MARGIN and x + size > picture.width - MARGIN:
            x, y = MARGIN, y + 21
        fill = LEGEND[entry]
        picture.boxes.append(Box(x=x, y=y, width=size, height=16, kind="legend", fill=fill, dashed=fill == KEPT))
        picture.write(text, x + size / 2, y + 11, NAME_SIZE, "name", centred=True)
        x += size + 6
    return y + 24


LEGEND = {**COLOURS, "kept": KEPT, "no parameters": BARE}
"""What nodes count as in the legend."""


def _entry(node: Node, fill: str) -> str:
    """A node's primitive, where it has its colour, or why it has none."""
    return node.op if fill == COLOURS[node.op] else "kept" if fill == KEPT else "no parameters"


def summary(graph: ComputationalGraph, shown: Folded, predicted: Collection[str] | None = None) -> str:
    """A line on the graph."""
    taken = [spec for name, spec in graph.parameters.items() if predicted is None or name in predicted]
    kept = len(graph.kept) + len(graph.parameters) - len(taken)
    text = f"{len(graph)} nodes, {len(graph.edges)} edges"
    if shown.repeats:
        text += f", {len(shown.nodes)} nodes drawn: equal blocks once"
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
