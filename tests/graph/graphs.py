"""Helpers to compare graphs."""

from collections.abc import Callable, Iterable
from typing import Any

import networkx as nx
import torch
from torch import nn

from ghn.graph import ComputationalGraph

IMAGE = torch.zeros(2, 3, 16, 16)


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


class Lambda(nn.Module):
    """A module whose forward is a function of itself and its input."""

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args):
        return self.function(self, *args)


def with_parameters(model: nn.Module, **shapes: tuple[int, ...]) -> Any:
    """The model with further parameters of these shapes."""
    for name, shape in shapes.items():
        setattr(model, name, nn.Parameter(torch.zeros(shape)))
    return model


def conv(inputs: int = 3, outputs: int = 3, kernel: int = 3, **options: Any) -> nn.Conv2d:
    """A convolution that keeps the size of its image, without a bias if none is asked for."""
    return nn.Conv2d(inputs, outputs, kernel, padding="same", **{"bias": False, **options})


def works(function: Callable[..., Any], *args: Any) -> bool:
    """Whether a call is not refused."""
    try:
        function(*args)
    except (RuntimeError, IndexError, ValueError):
        return False
    return True
