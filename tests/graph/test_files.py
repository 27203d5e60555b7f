"""Graphs as JSON and for networkx."""

import json

import numpy as np
import pytest

from ghn.graph import ComputationalGraph, Role
from ghn.graph.files import from_json, to_json, to_networkx
from tests.draw.graphs import GRAPHS, graph_of_one_node, rich_graph


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
    with pytest.raises(ValueError, match=message):
        from_json(text)


def test_networkx_has_nodes_edges_and_attributes() -> None:
    graph = rich_graph()
    exported = to_networkx(graph)
    assert list(exported.nodes) == list(range(len(graph)))
    assert sorted(exported.edges) == [tuple(edge) for edge in graph.edges.tolist()]
    assert exported.nodes[3] == {"op": "bn", "parameters": ("norm.weight", "norm.bias"), "shape": (16,)}
    assert exported.graph == {"kept": dict(graph.kept), "traced_by": "meta"}
