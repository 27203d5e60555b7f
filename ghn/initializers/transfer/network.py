"""A network as the search for counterparts sees it: layers in order, what stands beside each, and everything else.

Only the computational graph tells what is what. Beside layers, whose weights are aligned with another network's, a
network has norms and biases, each attached to a layer that it follows or leads to; position embeddings; and tensors
that no primitive describes (tokens, scales, tables), which are known by the layers of the module that holds them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.modules import named_buffers, named_parameters
from ghn.common.tensors import is_opaque
from ghn.graph.computational_graph import ComputationalGraph, Role
from ghn.initializers.layers import Layer, layers_of

NORMS = ("bn", "ln")
BESIDE = (*NORMS, "bias")
"""Primitives that stand beside a layer."""

POOLS = ("max_pool", "avg_pool")
PASSED = (*BESIDE, *POOLS, "glob_avg")
"""Primitives that do not tell one layer from another: the last of a stage is none of its own kind."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What tells a layer from others.

    Attributes:
        name: Of its weight.
        op: Its primitive.
        out: Output channels, those of all weights of a stack.
        inputs: Input channels (of a group).
        kernel: Sizes of the kernel; none of a linear layer.
        head: Whether it is the classification head.
        first: Whether it reads the network's input.
        before: Primitives that feed it, past norms, biases and pools.
        after: Primitives that it feeds, likewise.
        pooled: Whether a pool stands between: the first layer of a stage.
        chained: Whether the layer before it in order feeds it, be it through attention or a gate, but no branches.
    """

    name: str
    op: str
    out: int
    inputs: int
    kernel: tuple[int, ...]
    head: bool
    first: bool
    before: frozenset[str]
    after: frozenset[str]
    pooled: bool = False
    chained: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether it convolves each channel by itself."""
        return self.op == "sep_conv" or (self.inputs == 1 < self.out and len(self.kernel) > 0 and not self.first)


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A norm or bias: the layer it belongs to, and on which side of it.

    Attributes:
        node: Its index.
        layer: Name of the layer's weight.
        follows: Whether it takes what the layer computes; else it is on the way to the layer.
        norm: Whether it is a norm.
        parameters: Its parameters by role.
    """

    node: int
    layer: str
    follows: bool
    norm: bool
    parameters: Mapping[Role, str]


class Network:
    """A model, read by its graph.

    Args:
        model: With storage.
        images: To trace it with, as `trace` takes them; what tracing finds by itself by default.

    Attributes:
        model: The model.
        graph: Its graph.
        layers: Weights of layers by name, in the order in which data meets them.
        tensors: All parameters and buffers by name.

    Raises:
        TraceError: If it cannot be traced.
    """

    def __init__(self, model: nn.Module, images: Any = None) -> None:
        self.model = model
        found = layers_of(model, None if images is None else [(images, torch.empty(0))])
        self.graph: ComputationalGraph = found.graph
        self.layers: Mapping[str, Layer] = {layer.name: layer for layer in found.weights}
        self.buffers = named_buffers(model)
        self.tensors: Mapping[str, Tensor] = {**named_parameters(model), **self.buffers}
        self._before = self.graph.predecessors()
        self._after: list[list[int]] = [[] for _ in self.graph.nodes]
        for producer, consumer in self.graph.edges.tolist():
            self._after[producer].append(consumer)
        self._layer_at = {layer.spec.node: layer.name for layer in reversed(found.weights)}

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """What tells each layer from others, by name and in order."""
        return {name: self._place(layer) for name, layer in self.layers.items()}

    @cached_property
    def attached(self) -> Sequence[Attached]:
        """Norms and biases, in order."""
        found = (self._attached(node) for node, made in enumerate(self.graph.nodes) if made.op in BESIDE)
        return [entry for entry in found if entry is not None]

    @cached_property
    def positions(self) -> Sequence[str]:
        """Names of position embeddings, in order."""
        return self._with_role(Role.POSITION)

    @cached_property
    def others(self) -> Sequence[str]:
        """Names of all other parameters and buffers, in the model's order."""
        known = {*self.layers, *self.positions}
        known.update(name for entry in self.attached for name in entry.parameters.values())
        return [name for name, tensor in self.tensors.items() if name not in known and not is_opaque(tensor)]

    @cached_property
    def attentions(self) -> Sequence[tuple[str, ...]]:
        """The layers that feed each attention, in order: three, or one that computes queries, keys and values."""
        found = []
        for node, made in enumerate(self.graph.nodes):
            if made.op == "msa":
                feeding = _reachable(self._before, node, lambda at: self.graph.nodes[at].op in BESIDE)
                found.append(tuple(self._layer_at[at] for at in sorted(feeding) if at in self._layer_at))
        return found

    def attached_to(self, layer: str, *, follows: bool, norm: bool) -> list[Attached]:
        """Norms or biases on one side of a layer, in order."""
        return self._by_layer.get((layer, follows, norm), [])

    def nearest_norm(self, layer: str, *, follows: bool) -> Attached | None:
        """The first norm on one side of a layer before another layer comes, whichever of them it belongs to."""
        start = self.layers[layer].spec.node
        for node in _reachable(self._after if follows else self._before, start, lambda at: at not in self._layer_at):
            if node in self._norm_at:
                return self._norm_at[node]
        return None

    def layers_around(self, name: str) -> frozenset[str]:
        """The layers of the smallest module that holds a tensor and any layer."""
        while True:
            name = name.rpartition(".")[0]
            found = frozenset(layer for layer in self.layers if not name or layer.startswith(f"{name}."))
            if found or not name:
                return found

    @cached_property
    def _by_layer(self) -> Mapping[tuple[str, bool, bool], list[Attached]]:
        found: dict[tuple[str, bool, bool], list[Attached]] = {}
        for entry in self.attached:
            found.setdefault((entry.layer, entry.follows, entry.norm), []).append(entry)
        return found

    @cached_property
    def _norm_at(self) -> Mapping[int, Attached]:
        return {entry.node: entry for entry in self.attached if entry.norm}

    def _with_role(self, role: Role) -> list[str]:
        found = [spec for spec in self.graph.parameters.values() if spec.role is role]
        return [spec.name for spec in sorted(found, key=lambda spec: spec.node)]

    def _place(self, layer: Layer) -> Place:
        spec = layer.spec
        # A weight for each channel is that of a depthwise layer.
        *outer, inputs = (*layer.weight.shape, 1)[: spec.stack + 2]
        before = self._ops(self._before, spec.node)
        return Place(
            name=layer.name,
            op=self.graph.nodes[spec.node].op,
            out=math.prod(outer),
            inputs=inputs,
            kernel=tuple(layer.weight.shape[spec.stack + 2 :]),
            head=spec.head,
            first="input" in before,
            before=before,
            after=self._ops(self._after, spec.node) or frozenset({"output"}),
            pooled=any(
                self.graph.nodes[node].op in POOLS
                for node in _reachable(self._before, spec.node, lambda at: self.graph.nodes[at].op in BESIDE)
            ),
            chained=self._is_chained(layer),
        )

    def _is_chained(self, layer: Layer) -> bool:
        order = [*self.layers]
        position = order.index(layer.name)
        if not position:
            return False
        previous = self.layers[order[position - 1]].spec.node
        passed = (*PASSED, "msa", "cse")
        return previous in _reachable(self._before, layer.spec.node, lambda at: self.graph.nodes[at].op in passed)

    def _ops(self, neighbours: Sequence[list[int]], start: int) -> frozenset[str]:
        """Primitives next to a node on one side."""
        return frozenset(self.graph.nodes[node].op for node in self._neighbours(neighbours, start))

    def _neighbours(self, neighbours: Sequence[list[int]], start: int) -> list[int]:
        """Nodes next to one on one side, past those that do not tell layers apart."""
        nodes = self.graph.nodes
        seen = _reachable(neighbours, start, lambda at: nodes[at].op in PASSED)
        return [node for node in seen if nodes[node].op not in PASSED]

    def _attached(self, node: int) -> Attached | None:
        made = self.graph.nodes[node]
        specs = [self.graph.parameters[name] for name in made.parameters if name in self.graph.parameters]
        roles = (Role.BIAS, Role.NORM_WEIGHT, Role.NORM_BIAS)
        parameters = {spec.role: spec.name for spec in specs if spec.role in roles}
        layer, follows = self._owner(node)
        if layer is None or not parameters:
            return None
        return Attached(node=node, layer=layer, follows=follows, norm=made.op in NORMS, parameters=parameters)

    def _owner(self, node: int) -> tuple[str | None, bool]:
        """The layer whose output goes straight into a node, else the next that the node leads to, else the last."""
        at = node
        # Of two norms in a row the second belongs to what comes next.
        passed = ("bias",) if self.graph.nodes[node].op in NORMS else BESIDE
        while len(self._before[at]) == 1:
            (at,) = self._before[at]
            if at in self._layer_at:
                return self._layer_at[at], True
            if self.graph.nodes[at].op not in passed:
                break
        for after in _reachable(self._after, node, lambda at: at not in self._layer_at):
            if after in self._layer_at:
                return self._layer_at[after], False
        earlier = [self._layer_at[other] for other in sorted(self._layer_at) if other < node]
        return (earlier[-1], True) if earlier else (None, False)


def _reachable(neighbours: Sequence[Collection[int]], start: int, passes: Callable[[int], bool]) -> Iterator[int]:
    """Nodes from the nearest on, of which those that pass lead further."""
    seen, waiting = {start}, deque([start])
    while waiting:
        at = waiting.popleft()
        for node in neighbours[at]:
            if node not in seen:
                seen.add(node)
                yield node
                if passes(node):
                    waiting.append(node)
