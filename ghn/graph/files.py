"""A computational graph as JSON, to be read back, and as a networkx graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.reasons import Reason

if TYPE_CHECKING:
    import networkx


JSON_FORMAT = "ghn-computational-graph"


JSON_VERSION = 1


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
    return ComputationalGraph(
        nodes,
        edges,
        parameters,
        {name: Reason.read(text) for name, text in document["kept"].items()},
        document["traced_by"],
    )


def to_networkx(graph: ComputationalGraph) -> networkx.DiGraph:
    """The graph for networkx: nodes 0 to N − 1 with `op`, `parameters` and `shape`; `kept` and `traced_by` on it."""
    import networkx

    exported = networkx.DiGraph(kept=dict(graph.kept), traced_by=graph.traced_by)
    for index, node in enumerate(graph.nodes):
        exported.add_node(index, op=node.op, parameters=node.parameters, shape=node.shape)
    exported.add_edges_from(graph.edges.tolist())
    return exported
