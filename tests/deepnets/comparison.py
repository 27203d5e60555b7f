"""Direct graphs against traced ones."""

from collections import Counter
from typing import Any

import torch

from ghn.deepnets import NetworkArguments, network_from_arguments
from ghn.graph import ComputationalGraph
from ghn.graph.trace import trace
from tests.graph.graphs import isomorphic, named


def traced(arguments: NetworkArguments, num_classes: int = 10, image_size: int = 32) -> ComputationalGraph:
    with torch.device("meta"):
        return trace(network_from_arguments(arguments, num_classes, image_size))


def parameters(graph: ComputationalGraph) -> dict[str, Any]:
    """What is known of each parameter, its node's number aside."""
    return {
        name: (spec.shape, spec.role, spec.axes, spec.stack, spec.head, graph.nodes[spec.node])
        for name, spec in graph.parameters.items()
    }


def assert_same(direct: ComputationalGraph, reference: ComputationalGraph) -> None:
    assert parameters(direct) == parameters(reference)
    assert dict(direct.kept) == dict(reference.kept)
    assert Counter(direct.nodes) == Counter(reference.nodes)
    assert_isomorphic(direct, reference)


def colours(graph: ComputationalGraph) -> list[int]:
    """A number for each node, from its labels and neighbours; different for nodes that play different parts."""
    predecessors = graph.predecessors()
    successors: list[list[int]] = [[] for _ in graph.nodes]
    for producer, consumer in graph.edges.tolist():
        successors[producer].append(consumer)
    colour = [hash(node) for node in graph.nodes]
    count = 0
    while len(set(colour)) > count:
        count = len(set(colour))
        colour = [
            hash((own, *(tuple(sorted(colour[n] for n in near)) for near in (before, after))))
            for own, before, after in zip(colour, predecessors, successors, strict=True)
        ]
    return colour


def assert_isomorphic(first: ComputationalGraph, second: ComputationalGraph) -> None:
    """Exact: where all nodes have colours of their own these are the only possible map, else a search decides."""
    colour, other = colours(first), colours(second)
    assert Counter(colour) == Counter(other)
    if len(set(colour)) < len(colour):
        assert isomorphic(named(first), named(second))
    else:
        mapped = {(other[a], other[b]) for a, b in second.edges.tolist()}
        assert {(colour[a], colour[b]) for a, b in first.edges.tolist()} == mapped
