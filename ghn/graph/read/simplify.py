"""From recorded operators to the computational graph of primitives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec
from ghn.graph.read.builder import INPUT, Draft, Reading
from ghn.graph.read.flow import NONE
from ghn.graph.read.reader import read
from ghn.graph.record.op_graph import OpGraph


def simplify(record: OpGraph, *, traced_by: str) -> ComputationalGraph:
    """Apply the vocabulary's rules to a recorded forward pass.

    Args:
        record: What ran.
        traced_by: Stored in the graph.

    Returns:
        Primitives that lie on a path to an output, in the order of execution.
    """
    reading = read(record)
    nodes, survivors = _contract(reading.nodes)
    ends = [NONE.union(*(survivors[node] for node in output.carriers)) for output in reading.outputs]
    primary, processed = next(
        ((end, output.processed) for end, output in zip(ends, reading.outputs, strict=True) if end), (NONE, False)
    )
    order = list(nodes)
    primary, order = _pool_before_head(nodes, primary, order, reading.pointwise)
    deciding = (survivors[node] for node in reading.deciders)
    used = _ancestors(nodes, NONE.union(*ends, primary, *deciding))
    specs = _owners(reading, used)
    head = set() if processed else _head(nodes, primary, set(_stacked(specs)))
    return _build(reading, [n for n in order if n in used or n == 0], nodes, specs, head, traced_by)


def _contract(drafts: Sequence[Draft]) -> tuple[dict[int, Draft], dict[int, frozenset[int]]]:
    """Remove squeezes of channel gates, and sums and concatenations that only one path reaches.

    Returns:
        The remaining drafts, and for each former node those that carry its output now.
    """
    remaining: dict[int, Draft] = {}
    survivors: dict[int, frozenset[int]] = {}
    for index, draft in enumerate(drafts):
        predecessors = NONE.union(*(survivors[node] for node in draft.predecessors))
        if draft.squeeze or (draft.op in ("sum", "concat") and len(predecessors) < 2):
            survivors[index] = predecessors
            continue
        if index and not predecessors and draft.op != "pos_enc":
            predecessors = frozenset({INPUT})
        remaining[index] = replace(draft, predecessors=predecessors)
        survivors[index] = frozenset({index})
    return remaining, survivors


def _pool_before_head(
    nodes: dict[int, Draft], primary: frozenset[int], order: list[int], pointwise: frozenset[int]
) -> tuple[frozenset[int], list[int]]:
    """Move a final average pooling in front of a 1×1 convolution that is the head (as in SqueezeNet)."""
    if len(primary) != 1:
        return primary, order
    (pool,) = primary
    chain = [pool]
    while len(nodes[chain[0]].predecessors) == 1 and len(chain) < 3:
        chain.insert(0, next(iter(nodes[chain[0]].predecessors)))
    ops = [nodes[node].op for node in chain]
    start = 1 if ops == ["conv", "glob_avg"] or (len(chain) == 3 and ops[1:] == ["conv", "glob_avg"]) else 0
    if ops[start:] not in (["conv", "bias", "glob_avg"], ["conv", "glob_avg"]) or chain[start] not in pointwise:
        return primary, order
    weight, last = chain[start], chain[-2]
    nodes[pool] = replace(nodes[pool], predecessors=nodes[weight].predecessors)
    nodes[weight] = replace(nodes[weight], predecessors=frozenset({pool}))
    order = [node for node in order if node != pool]
    order.insert(order.index(weight), pool)
    return frozenset({last}), order


def _ancestors(nodes: dict[int, Draft], ends: frozenset[int]) -> set[int]:
    found: set[int] = set()
    pending = list(ends)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(nodes[node].predecessors)
    return found


def _owners(reading: Reading, used: set[int]) -> dict[str, ParameterSpec]:
    """For each parameter the first claim by a node on a path to an output."""
    claimed = reading.claims.items()
    found = {name: next((spec for spec in claims if spec.node in used), None) for name, claims in claimed}
    return {name: spec for name, spec in found.items() if spec is not None}


def _stacked(specs: Mapping[str, ParameterSpec]) -> Iterator[int]:
    return (spec.node for spec in specs.values() if spec.stack)


def _head(nodes: dict[int, Draft], primary: frozenset[int], stacked: set[int]) -> set[int]:
    """Weights and biases that the primary output leaves from; several where the outputs of heads are averaged.

    Parallel heads have as many classes each, and none feeds another (as the branches of a residual network do).
    """
    found: set[int] = set()
    weights: set[int] = set()
    pending, met = list(primary), set(primary)
    while pending:
        last = pending.pop()
        if nodes[last].op in ("sum", "concat") and not nodes[last].processed:
            pending.extend(nodes[last].predecessors - met)
            met |= nodes[last].predecessors
            continue
        weight = last
        if nodes[last].op == "bias" and len(nodes[last].predecessors) == 1:
            (weight,) = nodes[last].predecessors
        if nodes[weight].op != "conv" or weight in stacked or not _is_matrix(nodes[weight].shape):
            return set()
        found |= {weight, last}
        weights.add(weight)
    classes = {shape[0] for weight in weights if (shape := nodes[weight].shape)}
    before = _ancestors(nodes, NONE.union(*(nodes[weight].predecessors for weight in weights)))
    return set() if weights & before or len(classes) > 1 else found


def _is_matrix(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and all(size == 1 for size in shape[2:])


def _build(
    reading: Reading,
    order: list[int],
    nodes: dict[int, Draft],
    specs: Mapping[str, ParameterSpec],
    head: set[int],
    traced_by: str,
) -> ComputationalGraph:
    position = {node: index for index, node in enumerate(order)}
    edges = [(position[source], position[node]) for node in order for source in nodes[node].predecessors]
    parameters = {
        name: replace(specs[name], node=position[specs[name].node], head=specs[name].node in head)
        for name in reading.reasons
        if name in specs
    }
    kept = {name: reason for name, reason in reading.reasons.items() if name not in specs}
    owned: dict[int, list[str]] = {node: [] for node in order}
    # In the order of their claims: the parameter that gives a node its shape comes first.
    for name in reading.claims:
        if name in parameters:
            owned[specs[name].node].append(name)
    return ComputationalGraph(
        tuple(Node(nodes[node].op, tuple(owned[node]), nodes[node].shape) for node in order),
        np.array(edges, dtype=np.int64).reshape(-1, 2),
        parameters,
        kept,
        traced_by,
    )
