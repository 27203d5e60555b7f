"""A computational graph as JSON, to be read back, and as a networkx graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ghn.common.errors import OneLineError
from ghn.common.text import said, shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import parse_json
from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.reasons import Reason

if TYPE_CHECKING:
    import networkx


JSON_FORMAT = "ghn-computational-graph"


JSON_VERSION = 1

LARGEST = 1 << 48
"""Above any size or index."""

Kind = TypeVar("Kind")


class GraphError(OneLineError):
    """A text is no computational graph; the message is one line."""


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
        "kept": {name: reason.text for name, reason in graph.kept.items()},
    }
    text = json.dumps(document, ensure_ascii=False)
    # In names only: whatever acts on a terminal or is no UTF-8 is written as JSON's own escape.
    return (text if text.isprintable() else "".join(map(_escaped, text))) + "\n"


def _escaped(sign: str) -> str:
    return sign if sign.isprintable() else json.dumps(sign)[1:-1]


def from_json(text: str) -> ComputationalGraph:
    """Build the graph that `to_json` wrote.

    Args:
        text: The JSON document.

    Raises:
        GraphError: In one line, if the text is no such document, or describes no graph.
    """
    try:
        document = parse_json(text)
    except FormatError as error:
        raise GraphError(f"not a graph: the text {error}; give what to_json wrote") from None
    if not isinstance(document, dict) or document.get("format") != JSON_FORMAT:
        raise GraphError(f"not a graph: the JSON has no format {JSON_FORMAT!r}; give what to_json wrote")
    if document.get("version") != JSON_VERSION:
        version = shown(document.get("version"))
        raise GraphError(f"the graph has version {version}, this program reads {JSON_VERSION}; write it anew")
    try:
        return _build(document)
    except KeyError as error:
        raise GraphError(f"not a graph: it lacks the field {said(error.args[0])}; write it anew") from None
    except GraphError:
        raise
    except (ValueError, OverflowError) as error:
        raise GraphError(f"not a graph: {error}; write it anew") from None


def _build(document: dict[str, Any]) -> ComputationalGraph:
    nodes = tuple(_node(_kind(entry, dict, "a node")) for entry in _kind(document["nodes"], list, "nodes"))
    parameters = {
        name: _parameter(name, _kind(entry, dict, f"parameter {shown(name)}"), len(nodes))
        for name, entry in _kind(document["parameters"], dict, "parameters").items()
    }
    kept = _kind(document["kept"], dict, "kept")
    return ComputationalGraph(
        nodes,
        _edges(_kind(document["edges"], list, "edges")),
        parameters,
        {name: Reason.read(_kind(text, str, "a reason")) for name, text in kept.items()},
        _kind(document["traced_by"], str, "traced_by"),
    )


def _node(entry: dict[str, Any]) -> Node:
    names = _kind(entry["parameters"], list, "parameters of a node")
    return Node(
        _kind(entry["op"], str, "op"),
        tuple(_kind(name, str, "a parameter's name") for name in names),
        None if entry["shape"] is None else _naturals(entry["shape"], "shape"),
    )


def _parameter(name: str, entry: dict[str, Any], nodes: int) -> ParameterSpec:
    shape, axes = _naturals(entry["shape"], "shape"), _naturals(entry["axes"], "axes")
    view = _naturals(entry.get("view", []), "view")
    if sorted(axes) != list(range(len(view or shape))) and axes:
        raise GraphError(f"not a graph: the axes of {shown(name)} are no order of its axes; write it anew")
    node, stack = _natural(entry["node"], "node"), _natural(entry["stack"], "stack")
    if node >= nodes or stack > len(view or shape):
        raise GraphError(
            f"not a graph: {shown(name)} belongs to no node, or stacks more axes than it has; write it anew"
        )
    return ParameterSpec(
        name=name,
        node=node,
        shape=shape,
        role=Role(_kind(entry["role"], str, "role")),
        axes=axes,
        stack=stack,
        view=view,
        head=_kind(entry["head"], bool, "head"),
    )


def _edges(pairs: list[Any]) -> NDArray[np.int64]:
    if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        raise GraphError("not a graph: an edge is no pair of nodes; write it anew")
    ends = [_natural(end, "an edge's end") for pair in pairs for end in pair]
    return np.array(ends, dtype=np.int64).reshape(-1, 2)


def _naturals(value: Any, what: str) -> tuple[int, ...]:
    return tuple(_natural(entry, what) for entry in _kind(value, list, what))


def _natural(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value < LARGEST:
        raise GraphError(f"not a graph: {what} is {shown(value)}, no natural number; write it anew")
    return value


def _kind(value: Any, kind: type[Kind], what: str) -> Kind:
    if type(value) is not kind:
        raise GraphError(f"not a graph: {what} is {shown(value)}, not of type {kind.__name__}; write it anew")
    return value


def to_networkx(graph: ComputationalGraph) -> networkx.DiGraph:
    """The graph for networkx: nodes 0 to N − 1 with `op`, `parameters` and `shape`; `kept` and `traced_by` on it."""
    import networkx

    exported = networkx.DiGraph(kept=dict(graph.kept), traced_by=graph.traced_by)
    for index, node in enumerate(graph.nodes):
        exported.add_node(index, op=node.op, parameters=node.parameters, shape=node.shape)
    exported.add_edges_from(graph.edges.tolist())
    return exported
