"""What is found while a record is read, and what remains of it once that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ghn.graph.computational_graph import ParameterSpec, Role
from ghn.graph.read import operators
from ghn.graph.read.flow import CONSTANT, NONE, Flow, gathered, join
from ghn.graph.read.layout import Layout
from ghn.graph.read.memory.parts import Part, Parts
from ghn.graph.read.memory.pieces import Pieces
from ghn.graph.read.weights import WeightSides
from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.record.op_graph import Operation, OpGraph, Ref, Value
from ghn.graph.unions import bounds

INPUT = 0
"""Index of the input node."""

_FACTORS = (ReasonCode.REPARAMETRISES, ReasonCode.COMPUTED, ReasonCode.SCALE, ReasonCode.VECTOR)
"""Reasons of parameters that weights or features are multiplied with."""

_ADDED = (Role.BIAS, Role.NORM_BIAS, Role.POSITION)
"""Roles that are predicted near zero."""

Later = Callable[[], Flow]
"""Finds the provenance of a value when it is asked for, which for most tensors that are written to never happens."""


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
        self._flows: list[Flow | None] = [CONSTANT] * len(record.values)
        self._later: dict[int, tuple[int | None, Later]] = {}  # by value without a flow, its base and how to find it
        self._claims: dict[str, list[ParameterSpec]] = {}
        self._reasons: dict[str, Reason] = {}
        self._averages = 0
        # Pools and the nodes whose features they average, by the first and the last of these.
        self._averaged: dict[tuple[int, int], list[tuple[int, Set[int]]]] = {}
        self._pointwise: set[int] = set()
        self._lookups: set[str] = set()
        self._factors: set[str] = set()
        self._choices: dict[int, Set[int]] = {}  # by value, the nodes that integers and masks come from
        self._deciders: dict[int, Set[int]] = {}  # by identity
        self._parts: dict[int, Parts] = {}  # by value, what was written into it
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
        return self._flow_of(reference.value) if isinstance(reference, Ref) else CONSTANT

    def inputs(self, operation: Operation) -> list[Flow]:
        """Provenance of all tensors that go into an operation."""
        return [self._flow_of(value) for value in operation.inputs]

    def output(self, operation: Operation) -> Value:
        """The first tensor that an operation returns."""
        return self._record.values[operation.outputs[0]]

    def parameter(self, name: str) -> Value:
        """The tensor of a parameter."""
        return self._record.values[self._record.parameters[name]]

    def computes_weight(self, operation: Operation) -> bool:
        """Whether an operation computes the weight of a layer from parameters alone."""
        return operation.outputs[0] in self._sides.fixed

    def picks_by_chance(self, operation: Operation) -> bool:
        """Whether random numbers say which elements of its first input an operation returns."""
        return any(self._sides.is_drawn(value) for value in operation.inputs[1:])

    def mixes_weight(self, operation: Operation) -> bool:
        """Whether an operation computes the weight or bias of a convolution from parameters and data."""
        return operation.outputs[0] in self._sides.mixed

    def factors(self, reference: Ref, axis: int, storage: int) -> list[tuple[int, int]]:
        """Sizes and strides that make up an axis (see `WeightSides.factors`)."""
        return self._sides.factors(reference.value, axis, storage)

    def parts(self, value: int) -> Parts:
        """What a value was before parts were written into it, and these parts."""
        found = self._parts.get(value)
        return Parts(Part(self._flow_of(value), self._record.values[value])) if found is None else found

    def note_parts(self, operation: Operation, parts: Parts) -> None:
        """Note of what parts an operation's output consists."""
        self._parts[operation.outputs[0]] = parts

    def is_view_of_parts(self, operation: Operation) -> bool:
        """Whether an operation sees a tensor that parts were written into, or a view of one."""
        if operation.name not in operators.VIEWS or len(operation.inputs) != 1:
            return False
        (base,) = operation.inputs
        return base in self._parts or base in self._later

    def set_result(self, operation: Operation, result: Flow | Later) -> None:
        """Let a flow, now or when it is asked for, be the provenance of what an operation returns."""
        for output in operation.outputs:
            if isinstance(result, Flow):
                self._set_flow(output, result)
            else:
                self._flows[output] = None
                self._later[output] = None, result
        if operation.name in operators.VIEWS:
            self._see_parts(operation)
        self._note_choices(operation)
        self._follow_pieces(operation)

    def _set_flow(self, value: int, flow: Flow) -> Flow:
        own = flow if self._record.values[value].carries else Flow(data=flow.data)
        self._flows[value] = own
        self._later.pop(value, None)
        return own

    def _see_parts(self, operation: Operation) -> None:
        """Let a view of a tensor that parts were written into come from those that it shows."""
        base = operation.inputs[0]
        for output in operation.outputs:
            if output in self._later:
                self._later[output] = base, self._later[output][1]
            elif base in self._parts:
                self._show(base, output)

    def _show(self, base: int, view: int) -> bool:
        """Let a view come from some of the parts of its base; False where it does not."""
        parts = self._parts.get(base)
        shown = None if parts is None else parts.shown_by(self._record.values[view])
        if shown is not None:
            self._flows[view] = join(part.flow for part in shown)
            self._later.pop(view, None)
        return shown is not None

    def _flow_of(self, value: int) -> Flow:
        flow = self._flows[value]
        return self._find_flow(value) if flow is None else flow

    def _find_flow(self, value: int) -> Flow:
        """The provenance of a value, after that of its base where it is a view: these may be thousands in a row."""
        pending = [value]
        while True:
            last = pending[-1]
            flow = self._flows[last]
            if flow is None:
                base, later = self._later[last]
                if base is None:
                    flow = self._set_flow(last, later())
                elif not self._show(base, last):
                    self._later[last] = None, later
                    pending.append(base)
                continue
            pending.pop()
            if not pending:
                return flow

    def _follow_pieces(self, operation: Operation) -> None:
        """Note what parameters stand side by side in outputs, and which of them a part of such a tensor holds."""
        if operation.name in ("cat", "stack"):
            pieces = Pieces.joined(operation, self._record.values, self._flow_of, self._pieces)
            if pieces is not None:
                self._pieces[operation.outputs[0]] = pieces
            return
        known = self._pieces.get(operation.inputs[0]) if operation.inputs else None
        if known is None:
            return
        for output, pieces in zip(operation.outputs, known.taken(operation, self._record.values), strict=False):
            self._flows[output] = pieces.flow
            self._later.pop(output, None)
            if len(pieces.parts) > 1:
                self._pieces[output] = pieces

    def _note_choices(self, operation: Operation) -> None:
        """Remember which nodes integers and masks were computed from, and which of them decide over features by these.

        A detector's scores reach the output only so: they choose the boxes.
        """
        values = self._record.values
        if not self._choices and all([values[output].carries for output in operation.outputs]):
            return
        chosen = gathered(self._choices.get(value, NONE) for value in operation.inputs)
        for output in operation.outputs:
            if values[output].carries:
                self._deciders[id(chosen)] = chosen
            else:
                carrying = (self._flow_of(value).carriers for value in operation.inputs if values[value].carries)
                self._choices[output] = gathered([chosen, *carrying])

    # --- nodes -------------------------------------------------------------------------------------------------------

    def node(self, index: int) -> Draft:
        """A node as it stands now."""
        return self._nodes[index]

    def add_node(
        self,
        op: str,
        flows: Iterable[Flow],
        shape: tuple[int, ...] | None = None,
        *,
        processed: bool = False,
        at: int | None = None,
    ) -> int:
        """Append a node fed by the carriers of `flows`, or put it where one was reserved; returns its index."""
        node = self.reserve_node(op) if at is None else at
        predecessors = NONE.union(*(flow.carriers for flow in flows))
        self._nodes[node] = Draft(op, predecessors, shape=shape, processed=processed)
        return node

    def reserve_node(self, op: str) -> int:
        """Append a `sum` or `concat` that joins nothing, which is no node if it stays so; returns its index."""
        self._nodes.append(Draft(op))
        return len(self._nodes) - 1

    def after(self, node: int, *flows: Flow, keep_kind: bool = False) -> Flow:
        """Provenance of a node's output.

        Args:
            node: Its index.
            flows: What it is fed by; `data` and `pools` are theirs.
            keep_kind: Whether the output is a score or a softmax's weight if the first of `flows` is.
        """
        pools = gathered(flow.pools for flow in flows)
        flow = Flow(carriers=frozenset({node}), data=any(flow.data for flow in flows), pools=pools)
        if keep_kind and flows:
            flow = replace(flow, score=flows[0].score, attention=flows[0].attention)
        return flow

    def note_used(self, flow: Flow) -> None:
        """Note that what feeds a tensor is used, though no features come of it."""
        self._deciders[id(flow.carriers)] = flow.carriers

    def note_pointwise(self, convolution: Flow) -> None:
        """Note that the convolution whose output this is has kernels of one position."""
        self._pointwise |= convolution.carriers

    def note_average(self, features: Flow, node: int | None = None) -> int:
        """Note that features are averaged over space; returns the pool, for `Flow.pools`.

        Args:
            features: What is averaged.
            node: The `glob_avg` node; None where the average may be no pooling.
        """
        self._averages += 1
        pool = -self._averages if node is None else node
        self._averaged.setdefault(bounds(features.carriers), []).append((pool, features.carriers))
        return pool

    def averages_of(self, features: Flow, pools: Set[int]) -> set[int]:
        """Those of some pools that average these features."""
        if not pools:
            return set()
        averages = self._averaged.get(bounds(features.carriers), [])
        return {pool for pool, carriers in averages if pool in pools and carriers == features.carriers}

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
                name=name,
                node=node,
                shape=value.shape,
                role=role,
                axes=own.axes,
                view=own.view,
                stack=own.stack,
                groups=own.groups,
            )
            self._claims.setdefault(name, []).append(spec)

    def keep(self, names: Iterable[str], reason: Reason | ReasonCode) -> None:
        """Note why parameters are not predicted; what was noted first stays.

        What multiplies weights or features is not predicted as a bias either, wherever else it is added (a folded
        normalisation scales both a weight and its bias): a factor near zero would leave nothing of them.
        """
        reason = Reason(reason) if isinstance(reason, ReasonCode) else reason
        for name in names:
            self._reasons.setdefault(name, reason)
            if reason.code in _FACTORS:
                self._factors.add(name)

    def keep_lookup(self, names: Iterable[str]) -> None:
        """Keep parameters as lookup tables, whatever else they are used for before and after."""
        self._lookups.update(names)

    # --- the end -----------------------------------------------------------------------------------------------------

    def finish(self) -> Reading:
        """What was found."""
        outputs = self._record.outputs
        flows = tuple(self._flow_of(value) for value in outputs)
        chosen = gathered([*(self._choices.get(value, NONE) for value in outputs), *self._deciders.values()])
        claims = {name: tuple(filter(self._holds, specs)) for name, specs in self._claims.items()}
        claims = {name: specs for name, specs in claims.items() if specs}
        return Reading(
            nodes=tuple(self._nodes),
            outputs=flows,
            deciders=frozenset(chosen),
            pointwise=frozenset(self._pointwise),
            claims=MappingProxyType(claims),
            reasons=MappingProxyType({name: self._reason(name, name in claims) for name in self._record.parameters}),
        )

    def _holds(self, claim: ParameterSpec) -> bool:
        added_factor = claim.role in _ADDED and claim.name in self._factors
        return claim.name not in self._lookups and not added_factor

    def _reason(self, name: str, claimed: bool) -> Reason:
        dtype = self.parameter(name).dtype
        if not dtype.is_floating_point:
            return Reason(ReasonCode.COMPLEX if dtype.is_complex else ReasonCode.INTEGERS)
        if name in self._lookups:
            return Reason(ReasonCode.LOOKUP)
        unused = Reason(ReasonCode.UNUSED)
        return unused if claimed else self._reasons.get(name, unused)
