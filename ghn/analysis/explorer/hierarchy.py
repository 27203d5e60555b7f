"""Which module each node of a graph belongs to.

A node with parameters belongs to the module that owns the first of them. For the others the graph says only what they
compute from what: they are put where the data flow suggests, which is where well-known models compute them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ghn.graph.computational_graph import ComputationalGraph

Path = tuple[str, ...]
"""Names from the top of the model down: ("layer1", "0", "conv1"); the model itself is ()."""


def owner(parameter: str) -> Path:
    """The module that a parameter's name says it belongs to."""
    return tuple(parameter.split(".")[:-1])


def modules_of(graph: ComputationalGraph) -> list[Path]:
    """For each node the path of its module.

    A node without parameters and with one input belongs to the deepest module that holds both its input and the next
    node with parameters; or, if that is deeper, the next one and what else its input feeds, or this and what is joined
    with it (a branch begins within the module that branches). One with several inputs belongs to the deepest module
    that holds all of them, except for those that come from outside a module that they also feed and the last input
    lies in: they are that module's own input (the identity of a residual block), and the node ends that module.
    """
    producers = graph.predecessors()
    consumers: list[list[int]] = [[] for _ in graph.nodes]
    for producer, consumer in graph.edges.tolist():
        consumers[producer].append(consumer)
    following, ends = _following(graph, consumers), _ends(graph)
    places: list[Path] = []
    for index, node in enumerate(graph.nodes):
        if node.parameters:
            places.append(owner(node.parameters[0]))
        elif not producers[index]:
            places.append(())
        elif len(producers[index]) == 1:
            (before,) = producers[index]
            beside = [following[other] for other in consumers[before] if other != index]
            shared = [_common(place, following[index]) for place in (places[before], *beside)]
            # A branch without parameters is where the branches are that it meets.
            met = {other for consumer in consumers[index] for other in producers[consumer] if other != index}
            shared += [_common(place, following[other]) for other in met for place in beside]
            places.append(max(shared, key=len))
        elif tables := [other for other in producers[index] if other and not producers[other]]:
            # What a module holds and does not compute (a table of positions) it adds itself.
            places.append(places[tables[-1]])
        else:
            places.append(_meeting(graph, producers[index], consumers, places, ends))
    return places


def _following(graph: ComputationalGraph, consumers: Sequence[list[int]]) -> list[Path]:
    """For each node its own module if it has parameters, else that of the first node with some that it leads to."""
    first = [len(graph.nodes)] * len(graph.nodes)
    for index in reversed(range(len(graph.nodes))):
        reached = (first[consumer] for consumer in consumers[index])
        first[index] = index if graph.nodes[index].parameters else min(reached, default=len(graph.nodes))
    return [() if index == len(graph.nodes) else owner(graph.nodes[index].parameters[0]) for index in first]


def _meeting(
    graph: ComputationalGraph,
    inputs: Sequence[int],
    consumers: Sequence[list[int]],
    places: Sequence[Path],
    ends: Mapping[Path, int],
) -> Path:
    """Where a node of several inputs stands."""
    *others, last = sorted(inputs)
    place = shared = places[last]
    entered: Path | None = None
    for other in others:
        # What has parameters of its own (attention in one module) adds nothing to its output: what holds it does.
        entries = [
            places[consumer][:-1] if graph.nodes[consumer].parameters else places[consumer]
            for consumer in consumers[other]
            if consumer < len(places)
        ]
        deepest = max((_common(entry, place) for entry in entries), key=len, default=())
        outside = len(_common(places[other], place))
        if len(deepest) > outside:
            modules = [deepest[:length] for length in range(outside + 1, len(deepest) + 1)]
            # The outermost one of which nothing is left to run; the innermost one where there is more in all of them.
            module = next((module for module in modules if ends[module] < len(places)), deepest)
            entered = max(module, entered or (), key=len)
        else:
            shared = _common(shared, places[other])
    return shared if entered is None else _common(shared, entered)


def _ends(graph: ComputationalGraph) -> dict[Path, int]:
    """For each module the last node with parameters in it."""
    ends: dict[Path, int] = {}
    for index, node in enumerate(graph.nodes):
        path = owner(node.parameters[0]) if node.parameters else ()
        for length in range(len(path) + 1):
            ends[path[:length]] = index
    return ends


def _common(first: Path, second: Path) -> Path:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return first[:length]
