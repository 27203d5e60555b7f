"""A computational graph in Graphviz's DOT language."""

from __future__ import annotations

from ghn.common.text import printable
from ghn.draw.labels import COLOURS, label_of, tooltip_of
from ghn.graph.computational_graph import ComputationalGraph


def to_dot(graph: ComputationalGraph) -> str:
    """The graph in Graphviz's DOT language, nodes named by their index."""
    lines = ["digraph ghn {", '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=10];']
    for index, node in enumerate(graph.nodes):
        label = label_of(node, graph.parameters)
        text = _quote(f"{label.op} {label.shape}".strip() + (f"\n{label.name}" if label.name else ""))
        tooltip = _quote(tooltip_of(graph, index))
        lines.append(f'  {index} [label={text}, tooltip={tooltip}, fillcolor="{COLOURS[node.op]}"];')
    lines += [f"  {producer} -> {consumer};" for producer, consumer in graph.edges.tolist()]
    return "\n".join([*lines, "}"]) + "\n"


def _quote(text: str) -> str:
    return '"' + printable(text, keep="\n").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
