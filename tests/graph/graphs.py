"""Helpers to compare graphs."""

from collections.abc import Iterable

import networkx as nx

from ghn.graph import ComputationalGraph


def labelled(labels: Iterable[str], edges: Iterable[Iterable[int]]) -> nx.DiGraph:
    """A networkx graph whose nodes carry a label."""
    graph = nx.DiGraph()
    for index, label in enumerate(labels):
        graph.add_node(index, label=label)
    graph.add_edges_from(tuple(edge) for edge in edges)
    return graph


def named(graph: ComputationalGraph) -> nx.DiGraph:
    """Nodes labelled by primitive and first parameter."""
    labels = (f"{node.op}:{node.parameters[0]}" if node.parameters else node.op for node in graph.nodes)
    return labelled(labels, graph.edges.tolist())


def isomorphic(first: nx.DiGraph, second: nx.DiGraph) -> bool:
    """Whether two labelled graphs are the same up to the order of their nodes."""
    if len(first) != len(second) or first.number_of_edges() != second.number_of_edges():
        return False
    return nx.is_isomorphic(first, second, node_match=lambda a, b: a["label"] == b["label"])


def chain(graph: ComputationalGraph) -> list[str]:
    """Primitives of a graph that is one path, input to output; fails if it is not."""
    assert graph.edges.tolist() == [[i, i + 1] for i in range(len(graph) - 1)], graph.edges.tolist()
    return [node.op for node in graph.nodes]


def edges(graph: ComputationalGraph) -> set[tuple[str, str]]:
    """Edges as pairs of names: the first parameter, or the primitive."""
    names = [node.parameters[0] if node.parameters else node.op for node in graph.nodes]
    return {(names[a], names[b]) for a, b in graph.edges.tolist()}
