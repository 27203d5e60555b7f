"""What is found while a record is read, and what remains of it once that is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ghn.graph.computational_graph import ParameterSpec, Role
from ghn.graph.read import operators
from ghn.graph.read.flow import CONSTANT, NONE, Flow, join
from ghn.graph.read.layout import Layout
from ghn.graph.read.weights import Pieces, WeightSides
from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.record.op_graph import Operation, OpGraph, Ref, Value
from ghn.graph.record.writes import overlap

INPUT = 0
"""Index of the input node."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A node under construction.

    Attributes:
        op: One of the primitives.
        predecessors: Indices of the nodes that feed it.
        shape: As in `Node`.
        squeeze: Whether it is the average inside a channel gate, which is no node.
        processed: Whether what it adds up has passed more than a head's output does (see `Flow`).
    """

    op: str
    predecessors: frozenset[int] = NONE
    shape: tuple[int, ...] | None = None
    squeeze: bool = False
    processed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What was written into a tensor, or what it was before: its provenance, and where it stands in memory."""

    flow: Flow
    place: Value

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.place.distinct

    def is_at(self, other: Part) -> bool:
        """Whether both stand at the same place."""
        own, others = self.place, other.place
        return (own.storage, own.offset, own.shape, own.stride) == (
            others.storage,
            others.offset,
            others.shape,
            others.stride,
        )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the operators of a record mean. Immutable.

    Attributes:
        nodes: All primitives in the order of execution, the input first.
        outputs: Provenance of what the model returns, the primary output first.
        deciders: Nodes from which values are computed that select among features or are returned as integers.
        pointwise: Convolutions of one position.
        claims: By parameter, in the order of their first claims, which nodes use it and how.
        reasons: For every parameter, in the model's order, why it is kept if no node that claims it is used.
    """

    nodes: tuple[Draft, ...]
    outputs: tuple[Flow, ...]
    deciders: frozenset[int]
    pointwise: frozenset[int]
    claims: Mapping[str, tuple[ParameterSpec, ...]]
    reasons: Mapping[str, Reason]


class Builder:
    """Takes down nodes, the provenance of values, and what becomes of parameters.

    Args:
        record: What is read; left as it is.
    """

    def __init__(self, record: OpGraph) -> None:
        self._record = record
        self._nodes: list[Draft] = [Draft("input")]
        self._flows: list[Flow] = [CONSTANT] * len(record.values)
        self._claims: dict[str, list[ParameterSpec]] = {}
        self._reasons: dict[str, Reason] = {}
        self._averaged: dict[int, frozenset[int]] = {}  # by pool, the nodes whose features it averages
        self._pointwise: set[int] = set()
        self._lookups: set[str] = set()
        self._choices: dict[int, frozenset[int]] = {}  # by value, the nodes that integers and masks come from
        self._deciders: set[int] = set()
        self._parts: dict[int, list[Part]] = {}  # by value, what was written into it
        self._pieces: dict[int, Pieces] = {}
        self._sides = WeightSides(record)
        for name, value in record.parameters.items():
            self._flows[value] = Flow(leaves=(name,), pure=True)
        for value in record.inputs:
            carriers = frozenset({INPUT}) if record.values[value].carries else NONE
            self._flows[value] = Flow(carriers=carriers, data=True)

    # --- values ------------------------------------------------------------------------------------------------------

    def value(self, reference: Any) -> Value | None:
        """The tensor that an argument stands for, None if it is a number or missing."""
        return self._record.values[reference.value] if isinstance(reference, Ref) else None

    def tensor(self, reference: Ref) -> Value:
        """The tensor that a reference stands for."""
        return self._record.values[reference.value]

    def flow(self, reference: Any) -> Flow:
        """Provenance of an argument."""
        return self._flows[reference.value] if isinstance(reference, Ref) else CONSTANT

    def inputs(self, operation: Operation) -> list[Flow]:
        """Provenance of all tensors that go into an operation."""
        return [self._flows[value] for value in operation.inputs]

    def output(self, operation: Operation) -> Value:
        """The first tensor that an operation returns."""
        return self._record.values[operation.outputs[0]]

    def parameter(self, name: str) -> Value:
        """The tensor of a parameter."""
        return self._record.values[self._record.parameters[name]]

    def computes_weight(self, operation: Operation) -> bool:
        """Whether an operation computes the weight of a layer from parameters alone."""
        return operation.outputs[0] in self._sides.fixed

    def mixes_weight(self, operation: Operation) -> bool:
        """Whether an operation computes the weight or bias of a convolution from parameters and data."""
        return operation.outputs[0] in self._sides.mixed

    def factors(self, reference: Ref, axis: int, storage: int) -> list[tuple[int, int]]:
        """Sizes and strides that make up an axis (see `WeightSides.factors`)."""
        return self._sides.factors(reference.value, axis, storage)

    def parts(self, value: int) -> list[Part]:
        """What a value was before parts were written into it, and these parts; empty if none were."""
        return self._parts.get(value, [])

    def note_parts(self, operation: Operation, parts: list[Part]) -> None:
        """Note of what parts an operation's output consists."""
        self._parts[operation.outputs[0]] = parts

    def set_result(self, operation: Operation, flow: Flow) -> None:
        """Let `flow` be the provenance of what an operation returns."""
        for output in operation.outputs:
            self._flows[output] = flow if self._record.values[output].carries else Flow(data=flow.data)
        self._note_choices(operation)
        self._follow_pieces(operation)
        if operation.name in operators.VIEWS and operation.inputs[0] in self._parts:
            self._see_parts(operation, self._parts[operation.inputs[0]])

    def _see_parts(self, operation: Operation, parts: list[Part]) -> None:
        """Let a view of a tensor that parts were written into come from those that it shows."""
        for output in operation.outputs:
            view = self._record.values[output]
            if any(part.place.storage != view.storage for part in parts):
                continue
            shown = [part for part in parts[1:] if overlap(part.place, view)]
            if len(shown) < len(parts) - 1:
                covered = sum(part.size for part in shown) >= view.distinct
                self._flows[output] = join(part.flow for part in (shown if covered else [parts[0], *shown]))

    def _follow_pieces(self, operation: Operation) -> None:
        """Note what parameters stand side by side in outputs, and which of them a part of such a tensor holds."""
        if operation.name in ("cat", "stack"):
            pieces = Pieces.joined(operation, self._record.values, self._flows, self._pieces)
            if pieces is not None:
                self._pieces[operation.outputs[0]] = pieces
            return
        known = self._pieces.get(operation.inputs[0]) if operation.inputs else None
        if known is None:
            return
        for output, pieces in zip(operation.outputs, known.taken(operation, self._record.values), strict=False):
            self._flows[output] = pieces.flow
            if len(pieces.parts) > 1:
                self._pieces[output] = pieces

    def _note_choices(self, operation: Operation) -> None:
        """Remember which nodes integers and masks were computed from, and which of them decide over features by these.

        A detector's scores reach the output only so: they choose the boxes.
        """
        chosen = NONE.union(*(self._choices.get(value, NONE) for value in operation.inputs))
        for output in operation.outputs:
            if self._record.values[output].carries:
                self._deciders |= chosen
            else:
                self._choices[output] = chosen.union(*(flow.carriers for flow in self.inputs(operation)))

    # --- nodes -------------------------------------------------------------------------------------------------------

    def node(self, index: int) -> Draft:
        """A node as it stands now."""
        return self._nodes[index]

    def add_node(
        self, op: str, flows: Iterable[Flow], shape: tuple[int, ...] | None = None, *, processed: bool = False
    ) -> int:
        """Append a node fed by the carriers of `flows`; returns its index."""
        predecessors = NONE.union(*(flow.carriers for flow in flows))
        self._nodes.append(Draft(op, predecessors, shape=shape, processed=processed))
        return len(self._nodes) - 1

    def after(self, node: int, *flows: Flow, keep_kind: bool = False) -> Flow:
        """Provenance of a node's output.

        Args:
            node: Its index.
            flows: What it is fed by; `data` and `pools` are theirs.
            keep_kind: Whether the output is a score or a softmax's weight if the first of `flows` is.
        """
        pools = NONE.union(*(flow.pools for flow in flows))
        flow = Flow(carriers=frozenset({node}), data=any(flow.data for flow in flows), pools=pools)
        if keep_kind and flows:
            flow = replace(flow, score=flows[0].score, attention=flows[0].attention)
        return flow

    def note_used(self, flow: Flow) -> None:
        """Note that what feeds a tensor is used, though no features come of it."""
        self._deciders |= flow.carriers

    def note_pointwise(self, convolution: Flow) -> None:
        """Note that the convolution whose output this is has kernels of one position."""
        self._pointwise |= convolution.carriers

    def note_average(self, features: Flow, node: int | None = None) -> int:
        """Note that features are averaged over space; returns the pool, for `Flow.pools`.

        Args:
            features: What is averaged.
            node: The `glob_avg` node; None where the average may be no pooling.
        """
        pool = -1 - len(self._averaged) if node is None else node
        self._averaged[pool] = features.carriers
        return pool

    def averages_of(self, features: Flow, pools: Iterable[int]) -> set[int]:
        """Those of some pools that average these features."""
        return {pool for pool in pools if self._averaged[pool] == features.carriers}

    def squeeze(self, pools: Iterable[int]) -> None:
        """Let pools belong to a channel gate: their nodes go."""
        for pool in pools:
            if pool > 0:
                self._nodes[pool] = replace(self._nodes[pool], squeeze=True)

    # --- parameters --------------------------------------------------------------------------------------------------

    def claim(self, names: Iterable[str], node: int, role: Role, layout: Layout | None = None) -> None:
        """Let a node claim parameters; of several claims (a reused module) the first on a path to the output holds."""
        for name in names:
            value = self.parameter(name)
            if not value.dtype.is_floating_point:
                continue
            own = layout.of(value.shape) if layout else Layout.plain(value.shape)
            spec = ParameterSpec(
                name=name, node=node, shape=value.shape, role=role, axes=own.axes, view=own.view, stack=own.stack
            )
            self._claims.setdefault(name, []).append(spec)

    def keep(self, names: Iterable[str], reason: Reason | ReasonCode) -> None:
        """Note why parameters are not predicted; what was noted first stays."""
        for name in names:
            self._reasons.setdefault(name, Reason(reason) if isinstance(reason, ReasonCode) else reason)

    def keep_lookup(self, names: Iterable[str]) -> None:
        """Keep parameters as lookup tables, whatever else they are used for before and after."""
        self._lookups.update(names)

    # --- the end -----------------------------------------------------------------------------------------------------

    def finish(self) -> Reading:
        """What was found."""
        outputs = self._record.outputs
        chosen = NONE.union(*(self._choices.get(value, NONE) for value in outputs))
        claims = {name: tuple(specs) for name, specs in self._claims.items() if name not in self._lookups}
        return Reading(
            nodes=tuple(self._nodes),
            outputs=tuple(self._flows[value] for value in outputs),
            deciders=chosen.union(self._deciders),
            pointwise=frozenset(self._pointwise),
            claims=MappingProxyType(claims),
            reasons=MappingProxyType({name: self._reason(name) for name in self._record.parameters}),
        )

    def _reason(self, name: str) -> Reason:
        dtype = self.parameter(name).dtype
        if not dtype.is_floating_point:
            return Reason(ReasonCode.COMPLEX if dtype.is_complex else ReasonCode.INTEGERS)
        if name in self._lookups:
            return Reason(ReasonCode.LOOKUP)
        unused = Reason(ReasonCode.UNUSED)
        return unused if name in self._claims else self._reasons.get(name, unused)
