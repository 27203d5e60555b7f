"""What a picture says of a node: colour, text, and the size that the text needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from rich.cells import cell_len

from ghn.common.text import printable
from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec

OP_SIZE, NAME_SIZE = 11.0, 9.0
"""Size of a node's first and second line, in pixels."""


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


CHARACTER = 0.602
"""Width of a monospaced character over its font size."""


NAME_LIMIT = 32
"""Characters of a parameter's name that a box shows; the tooltip has all."""


class Label(NamedTuple):
    """What a box shows, and the size it needs in pixels."""

    op: str
    shape: str
    name: str
    width: float
    height: float


def label_of(node: Node, parameters: Mapping[str, ParameterSpec] = MappingProxyType({})) -> Label:
    """What a node's box shows.

    Args:
        node: The node.
        parameters: Those of its graph, which tell linear layers from convolutions: to a hypernetwork they are one.
    """
    op = "linear" if is_linear(node, parameters) else node.op
    shape = "×".join(map(str, node.shape)) if node.shape else ""
    if node.op in ("max_pool", "avg_pool") and node.shape:
        shape = "×".join(map(str, node.shape[2:]))
    elif len(node.shape or ()) == 4 and node.shape is not None and node.shape[2:] == (1, 1):
        shape = "×".join(map(str, node.shape[:2])) if node.shape[1] > 1 else str(node.shape[0])
    name = _short_name(node.parameters)
    first = len(op) + (len(shape) + 1 if shape else 0)
    width = max(first * OP_SIZE * CHARACTER, cell_len(name) * NAME_SIZE * CHARACTER, 30.0) + 12
    return Label(op, shape, name, round(width, 1), 30.0 if name else 19.0)


def is_linear(node: Node, parameters: Mapping[str, ParameterSpec]) -> bool:
    """Whether a node that the vocabulary calls a convolution is a linear layer: its weight is a matrix."""
    spec = parameters.get(node.parameters[0]) if node.op == "conv" and node.parameters else None
    return spec is not None and len(spec.shape) == 2


def _short_name(parameters: tuple[str, ...]) -> str:
    """The parameter's name, or the module's where several belong to the node; a long one without its first parts."""
    if not parameters:
        return ""
    name = printable(parameters[0])
    if len(parameters) > 1:
        name = name.rpartition(".")[0] or name
    if len(name) <= NAME_LIMIT:
        return name
    dot = name.find(".", len(name) - NAME_LIMIT)
    return "…" + (name[dot + 1 :] if dot >= 0 else name[1 - NAME_LIMIT :])


def tooltip_of(graph: ComputationalGraph, index: int) -> str:
    node = graph.nodes[index]
    linear = " (a linear layer: to a hypernetwork, a convolution of 1×1)" if is_linear(node, graph.parameters) else ""
    lines = [f"{index}: {node.op}{linear}"]
    if node.shape and not node.parameters:
        lines[0] += f" {node.shape}"
    for name in node.parameters:
        spec = graph.parameters.get(name)
        details = f" {spec.shape} {spec.role.value}{', head' if spec.head else ''}" if spec else ""
        lines.append(printable(name) + details)
    return "\n".join(lines)
