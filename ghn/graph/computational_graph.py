"""The graph a hypernetwork reads: primitive operations, the parameters that belong to them, and shortest paths.

Legend: N nodes, E edges.
Source: SPEC of GHN-2 (Knyazev et al., NeurIPS 2021, section 3.1) and GHN-3 (Knyazev et al., ICML 2023, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghn.graph.distances import shortest_paths
from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.vocabulary import PRIMITIVE_INDEX, PRIMITIVES


class Role(StrEnum):
    """How a parameter is decoded: which decoder, which row of it, and which scaling."""

    WEIGHT = "weight"
    BIAS = "bias"
    NORM_WEIGHT = "norm_weight"
    NORM_BIAS = "norm_bias"
    POSITION = "position"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec:
    """One learnable tensor that a hypernetwork predicts.

    Attributes:
        name: Its name in `model.named_parameters()`.
        node: Index of the node it belongs to.
        shape: Its shape in the model.
        role: Which decoder and scaling it takes.
        axes: Permutation that brings the tensor to (stack..., out, in, *kernel); the identity for ordinary weights.
        view: Sizes as which the tensor's elements are seen before `axes` permutes them, where axes must be split or
            merged first (see `ghn.graph.read.layout`); the tensor's own shape by default.
        stack: Number of leading axes, after `axes`, that count independent weights (experts, heads).
        head: Whether it is the weight or bias of the classification head.
        groups: Of a convolution's weight: how many parts of its outputs see inputs of their own. Hypernetworks do not
            ask, so that it is no part of what specs are compared by, nor of JSON.
    """

    name: str
    node: int
    shape: tuple[int, ...]
    role: Role
    axes: tuple[int, ...] = ()
    stack: int = 0
    head: bool = False
    view: tuple[int, ...] = ()
    groups: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        if not self.view:
            object.__setattr__(self, "view", self.shape)
        if not self.axes:
            object.__setattr__(self, "axes", tuple(range(len(self.view))))
        if prod(self.view) != prod(self.shape):
            raise ValueError(f"{self.name} of shape {self.shape} cannot be seen as {self.view}: the elements differ")

    @property
    def canonical_shape(self) -> tuple[int, ...]:
        """The shape as (stack..., out, in, *kernel)."""
        return tuple(self.view[axis] for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Node:
    """A primitive operation.

    Attributes:
        op: One of `PRIMITIVES`.
        parameters: Names of the learnable tensors that belong to it, the one that gives `shape` first.
        shape: Shape fed to the shape encoder: that of the first parameter as (out, in, *kernel), (1, 1, kh, kw) of
            a pooling kernel, or None.
    """

    op: str
    parameters: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.op not in PRIMITIVE_INDEX:
            raise ValueError(f"unknown primitive {self.op!r}; the vocabulary is {', '.join(PRIMITIVES)}")


@dataclass(frozen=True, eq=False)
class ComputationalGraph:
    """A directed acyclic graph of primitive operations in topological order, the `input` node first. Immutable.

    Attributes:
        nodes: The N operations.
        edges: (E, 2) int64, pairs (producer, consumer), sorted.
        parameters: Predictable tensors by name.
        kept: Names of the other parameters of the model, each with the reason why it is not predicted; plain text
            becomes a `Reason`.
        traced_by: How the graph was obtained, e.g. "meta" (see `ghn.graph.trace`).
    """

    nodes: tuple[Node, ...]
    edges: NDArray[np.int64]
    parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    kept: Mapping[str, Reason] = field(default_factory=dict)
    traced_by: str = "given"

    def __post_init__(self) -> None:
        edges = np.unique(np.asarray(self.edges, dtype=np.int64).reshape(-1, 2), axis=0)
        if len(edges) and not (edges[:, 0] < edges[:, 1]).all():
            raise ValueError("edges must point from an earlier node to a later one (topological order)")
        if len(edges) and (edges.min() < 0 or edges.max() >= len(self.nodes)):
            raise ValueError(f"edges must index the {len(self.nodes)} nodes")
        if not self.nodes or self.nodes[0].op != "input":
            raise ValueError("the first node must be `input`")
        edges.setflags(write=False)
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        kept = {name: Reason.read(reason) for name, reason in self.kept.items()}
        object.__setattr__(self, "kept", MappingProxyType(kept))

    def __len__(self) -> int:
        return len(self.nodes)

    def __getstate__(self) -> dict[str, Any]:
        """Plain containers: read-only views cannot be pickled, and graphs are sent between processes."""
        return {**self.__dict__, "parameters": dict(self.parameters), "kept": dict(self.kept)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Graphs that version 0.1 pickled hold plain sentences.
        kept = {name: Reason.read(reason) for name, reason in state["kept"].items()}
        views = {"parameters": MappingProxyType(state["parameters"]), "kept": MappingProxyType(kept)}
        self.__dict__.update(state | views)
        for array in (self.edges, state.get("distances"), state.get("primitives")):
            if array is not None:
                array.setflags(write=False)

    @cached_property
    def distances(self) -> NDArray[np.signedinteger]:
        """(N, N) int8: length of the shortest directed path i→j if it is between 1 and 50, else 0."""
        return shortest_paths(len(self.nodes), self.edges)

    @cached_property
    def primitives(self) -> NDArray[np.int64]:
        """(N,): each node's row in the embedding table."""
        return np.array([PRIMITIVE_INDEX[node.op] for node in self.nodes], dtype=np.int64)

    @property
    def has_unused(self) -> bool:
        """Whether a parameter of the model is kept because no path leads from it to the output."""
        return any(reason.code is ReasonCode.UNUSED for reason in self.kept.values())

    def predecessors(self) -> Sequence[list[int]]:
        """For each node the indices that feed it, ascending."""
        lists: list[list[int]] = [[] for _ in self.nodes]
        for producer, consumer in self.edges.tolist():
            lists[consumer].append(producer)
        return lists
