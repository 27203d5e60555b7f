"""Graphs as JSON and for networkx."""

import json
import time
from typing import Any

import numpy as np
import pytest

from ghn.graph import ComputationalGraph, Node, Role
from ghn.graph.files import GraphError, from_json, to_json, to_networkx
from ghn.graph.reasons import Reason
from tests.draw.graphs import GRAPHS, LONG, graph_of_one_node, rich_graph


def same(first: ComputationalGraph, second: ComputationalGraph) -> bool:
    return (
        first.nodes == second.nodes
        and np.array_equal(first.edges, second.edges)
        and list(first.parameters.items()) == list(second.parameters.items())
        and list(first.kept.items()) == list(second.kept.items())
        and first.traced_by == second.traced_by
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_json_round_trip_loses_nothing(name: str) -> None:
    graph = GRAPHS[name]()
    restored = from_json(to_json(graph))
    assert same(graph, restored)
    assert all(isinstance(spec.role, Role) for spec in restored.parameters.values())
    assert not same(restored, rich_graph()) or name == "rich"


def without(key: str) -> str:
    document = json.loads(to_json(rich_graph()))
    del document[key]
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "no JSON"),
        ("[]", "no format"),
        ("{}", "no format"),
        (to_json(graph_of_one_node()).replace('"version": 1', '"version": 7'), "version 7.*write it anew"),
        (without("nodes"), "'nodes'"),
        (to_json(rich_graph()).replace('"op": "msa"', '"op": "magic"'), "unknown primitive 'magic'"),
        (to_json(rich_graph()).replace('"norm_bias"', '"colour"'), "colour"),
        (to_json(graph_of_one_node()).replace('"edges": []', '"edges": [[0, 5]]'), "index the 1 nodes"),
    ],
)
def test_json_that_is_no_graph_is_refused(text: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        from_json(text)


def changed(*path: str | int, to: Any) -> str:
    document = json.loads(to_json(rich_graph()))
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return json.dumps(document)


WRONG: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "shape of text": (("nodes", 1, "shape"), ["</text><script>", "&"]),
    "shape as text": (("nodes", 1, "shape"), "ab<"),
    "shape of fractions": (("nodes", 1, "shape"), [1.5]),
    "shape of truth": (("nodes", 1, "shape"), [True]),
    "negative shape": (("nodes", 1, "shape"), [-1]),
    "huge shape": (("nodes", 1, "shape"), [10**300]),
    "operation that is a list": (("nodes", 1, "op"), ["conv"]),
    "node of text": (("nodes", 1), "conv"),
    "nodes by name": (("nodes",), {"0": 1}),
    "name that is a number": (("nodes", 1, "parameters"), [7]),
    "edge of three": (("edges", 0), [0, 1, 2]),
    "edge of text": (("edges", 0), ["0", "1"]),
    "edge of fractions": (("edges", 0), [0.5, 1.5]),
    "huge edge": (("edges", 0), [0, 10**30]),
    "edge back": (("edges", 0), [1, 0]),
    "parameter of no node": (("parameters", LONG, "node"), 99),
    "axes that are no order": (("parameters", LONG, "axes"), [0, 0, 1, 2]),
    "other elements": (("parameters", LONG, "view"), [5, 5]),
    "deeper stack than axes": (("parameters", LONG, "stack"), 9),
    "role of another kind": (("parameters", LONG, "role"), 3),
    "head that is a number": (("parameters", LONG, "head"), 1),
    "reason of another kind": (("kept", "class_token"), 3),
    "way of another kind": (("traced_by",), ["meta"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_fields_of_another_kind_are_refused(case: str) -> None:
    path, value = WRONG[case]
    with pytest.raises(GraphError) as caught:
        from_json(changed(*path, to=value))
    assert str(caught.value).isprintable()


def test_deep_and_wide_texts_are_refused_at_once() -> None:
    start = time.process_time()
    for text in ("[" * 10**5, "[" + "[]," * 2_000_000 + "[]]", '{"a":' * 10**5):
        with pytest.raises(GraphError, match="not a graph"):
            from_json(text)
    assert time.process_time() - start < 5


def test_names_that_act_on_terminals_are_escaped_and_come_back() -> None:
    name = "a\x1b[31m\x9b\u202e\ud800\uffff\n.größe"
    graph = ComputationalGraph((Node("input"), Node("bias", (name,))), np.array([[0, 1]]), {}, {name: Reason.read("x")})
    text = to_json(graph)
    assert text.removesuffix("\n").isprintable()
    assert "größe" in text
    assert text.encode("utf-8")
    assert same(graph, from_json(text))


def test_networkx_has_nodes_edges_and_attributes() -> None:
    graph = rich_graph()
    exported = to_networkx(graph)
    assert list(exported.nodes) == list(range(len(graph)))
    assert sorted(exported.edges) == [tuple(edge) for edge in graph.edges.tolist()]
    assert exported.nodes[3] == {"op": "bn", "parameters": ("norm.weight", "norm.bias"), "shape": (16,)}
    assert exported.graph == {"kept": dict(graph.kept), "traced_by": "meta"}
