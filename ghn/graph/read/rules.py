"""Rules that turn recorded operators into primitives, by what flows into what.

No rule looks at module classes or layer names: a convolution's weight is what an operator convolves with, a bias is a
1-D parameter added to features, attention is a softmax whose weights multiply features, a channel gate is a product of
features with something computed from their own global average.

Source: the vocabulary and contraction rules of GHN-2's graphs (Knyazev et al., NeurIPS 2021, appendix A).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ghn.graph.computational_graph import ParameterSpec, Role
from ghn.graph.read import operators
from ghn.graph.read.flow import CONSTANT, NONE, Flow, Stage, join
from ghn.graph.read.layout import Layout, position_layout
from ghn.graph.read.weights import WeightSides, mixed_parameters
from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.record.op_graph import WRITE, Operation, OpGraph, Ref, Value

INPUT = 0
"""Index of the input node."""

CHANNELWISE = ("conv", "sep_conv", "dil_conv", "bias")
"""Nodes whose shape begins with the number of their output channels."""


@dataclass(slots=True)
class Draft:
    """A node under construction."""

    op: str
    predecessors: set[int]
    shape: tuple[int, ...] | None = None
    squeeze: bool = False
    processed: bool = False


class Rules:
    """One pass over a record, in the order of execution; see `simplify` for what follows."""

    def __init__(self, record: OpGraph, handlers: Mapping[str, Callable[[Rules, Operation], Flow | None]]) -> None:
        self.record = record
        self.handlers = handlers
        self.nodes: list[Draft] = [Draft("input", set())]
        self.flows: list[Flow] = [CONSTANT] * len(record.values)
        self.claims: dict[str, list[ParameterSpec]] = {}
        self.reasons: dict[str, Reason] = {}
        self.pool_sources: dict[int, frozenset[int]] = {}
        self.pointwise: set[int] = set()
        self.lookups: set[str] = set()
        self.choices: dict[int, frozenset[int]] = {}
        self.deciders: set[int] = set()
        self.sides = WeightSides(record)
        self.weight_side, self.mixing = self.sides.fixed, self.sides.mixed
        for name, value in record.parameters.items():
            self.flows[value] = Flow(leaves=(name,), pure=True)
        for value in record.inputs:
            carriers = frozenset({INPUT}) if record.values[value].carries else NONE
            self.flows[value] = Flow(carriers=carriers, data=True)

    def run(self) -> None:
        """Read all operations."""
        for operation in self.record.operations:
            flow = self._mixed(operation) if operation.outputs[0] in self.mixing else None
            handler = self.handlers.get(operation.name)
            if flow is None and handler:
                flow = handler(self, operation)
            if flow is None:
                flow = self.contract(operation)
            for output in operation.outputs:
                self.flows[output] = flow if self.record.values[output].carries else Flow(data=flow.data)
            self._note_choices(operation)
        for value in self.record.outputs:
            self.deciders |= self.choices.get(value, NONE)

    def _note_choices(self, operation: Operation) -> None:
        """Remember which nodes integers and masks were computed from, and which of them decide over features by these.

        A detector's scores reach the output only so: they choose the boxes.
        """
        chosen = NONE.union(*(self.choices.get(value, NONE) for value in operation.inputs))
        for output in operation.outputs:
            if self.record.values[output].carries:
                self.deciders |= chosen
            else:
                self.choices[output] = chosen.union(*(self.flows[value].carriers for value in operation.inputs))

    def _mixed(self, operation: Operation) -> Flow | None:
        """Kernels that data mixes or modulates: the nodes that data comes from, and the parameters that are mixed."""
        mixed = mixed_parameters(self, operation)
        return replace(join(self.flows[value] for value in operation.inputs), mixed=mixed) if mixed else None

    # --- helpers -----------------------------------------------------------------------------------------------------

    def value(self, reference: Any) -> Value | None:
        """The tensor that an argument stands for, None if it is a number or missing."""
        return self.record.values[reference.value] if isinstance(reference, Ref) else None

    def flow(self, reference: Any) -> Flow:
        """Provenance of an argument."""
        return self.flows[reference.value] if isinstance(reference, Ref) else CONSTANT

    def output(self, operation: Operation) -> Value:
        """The first tensor that an operation returns."""
        return self.record.values[operation.outputs[0]]

    def add_node(self, op: str, flows: Iterable[Flow], shape: tuple[int, ...] | None = None) -> int:
        """Append a node fed by the carriers of `flows`; returns its index."""
        predecessors = set().union(*(flow.carriers for flow in flows))
        self.nodes.append(Draft(op, predecessors, shape=shape))
        return len(self.nodes) - 1

    def after(self, node: int, *flows: Flow, keep_kind: bool = False) -> Flow:
        """Provenance of a node's output."""
        pools = frozenset().union(*(flow.pools for flow in flows)) if flows else NONE
        flow = Flow(carriers=frozenset({node}), data=any(flow.data for flow in flows), pools=pools)
        if keep_kind and flows:
            flow = replace(flow, score=flows[0].score, attention=flows[0].attention)
        return flow

    def keep(self, names: Iterable[str], reason: Reason | ReasonCode) -> None:
        """Note why parameters are not predicted; what was noted first stays."""
        for name in names:
            self.reasons.setdefault(name, Reason(reason) if isinstance(reason, ReasonCode) else reason)

    def claim(self, names: Iterable[str], node: int, role: Role, layout: Layout | None = None) -> None:
        """Let a node claim parameters; of several claims (a reused module) the first on a path to the output holds."""
        for name in names:
            value = self.record.values[self.record.parameters[name]]
            if name in self.lookups or not value.dtype.is_floating_point:
                continue
            own = layout.of(value.shape) if layout else Layout.plain(value.shape)
            spec = ParameterSpec(
                name=name, node=node, shape=value.shape, role=role, axes=own.axes, view=own.view, stack=own.stack
            )
            self.claims.setdefault(name, []).append(spec)

    def parameter(self, name: str) -> Value:
        """The tensor of a parameter."""
        return self.record.values[self.record.parameters[name]]

    def contract(self, operation: Operation) -> Flow:
        """An operation that is no primitive: its inputs' carriers become its output's."""
        flows = [self.flows[value] for value in operation.inputs]
        out = self.output(operation)
        result = join(flows, carries=out.carries)
        if result.flows:
            for flow in flows:
                if flow.is_parameter:
                    self.keep(flow.leaves, _reason(operation.name))
            if operation.name in operators.ACTIVATIONS:
                return replace(result, processed=True, normalised=False, score=False, attention=False, stage=Stage.NONE)
            return result if operation.name in operators.TRANSPARENT else replace(result, processed=True)
        if result.leaves and operation.name in operators.VIEWS and len(operation.inputs) == 1:
            return flows[0]
        if result.leaves and operation.name in operators.PICKS:
            return replace(result, gathered=True)
        return result

    # --- layers ------------------------------------------------------------------------------------------------------

    def weight_names(self, weight: Flow, value: Value) -> list[str]:
        """Which of the parameters behind a weight are the weight itself; the others are kept as its reparametrisation.

        A parameter with as many elements as the weight is it; several that fill it together (concatenated) all are;
        so is a parameter of which the weight is a part.
        """
        leaves = [leaf for leaf in weight.leaves if len(self.parameter(leaf).shape) >= 2]
        exact = [leaf for leaf in leaves if self.parameter(leaf).numel == value.numel]
        if weight.pure and not weight.gathered:
            chosen = leaves[:1]
        elif exact:
            chosen = exact[:1]
        elif not weight.gathered and sum(self.parameter(leaf).numel for leaf in leaves) == value.numel:
            chosen = leaves
        else:
            chosen = []
        others = [leaf for leaf in weight.leaves if leaf not in chosen]
        self.keep(others, Reason(ReasonCode.REPARAMETRISES, weight=chosen[0]) if chosen else ReasonCode.COMPUTED)
        return chosen

    def layer(self, op: str, features: Flow, weight: Ref, layout: Layout | None = None) -> Flow:
        """Append a node for a weight that features are multiplied or convolved with."""
        value, flow = self.record.values[weight.value], self.flows[weight.value]
        names = self.weight_names(flow, value)
        shape = value.shape
        if len(names) == 1:
            own = self.parameter(names[0]).shape
            shape = layout.of(own).merged if layout else own
        node = self.add_node(op, [features], shape)
        self.claim(names, node, Role.WEIGHT, layout)
        return self.after(node, features, keep_kind=True)

    def bias(self, features: Flow, flow: Flow, *, per_channel: bool = False) -> Flow:
        """Append a node for a bias, or give it to the normalisation that it follows.

        Args:
            features: What it is added to.
            flow: The bias: of the parameters that it is made from, the vectors are predicted.
            per_channel: Whether it is a bias whatever the shape of its parameter.
        """
        names = [leaf for leaf in flow.leaves if per_channel or _is_vector(self.parameter(leaf).shape)]
        if not names:
            self.keep(flow.leaves, ReasonCode.SCALAR)
            return features
        if features.norm is not None:
            self.claim(names, features.norm, Role.NORM_BIAS)
            return replace(features, norm=None)
        count = self.parameter(names[0]).numel
        node = self.add_node("bias", [features], (count,))
        self.claim(names, node, Role.BIAS)
        return self.after(node, features, keep_kind=True)

    def with_bias(self, features: Flow, reference: Any) -> Flow:
        """A layer's own bias argument, if there is one and it is made from parameters."""
        flow = self.flow(reference)
        if flow.is_parameter:
            return self.bias(features, flow)
        if flow.mixed:
            node = self.add_node("bias", [features, flow], (self.parameter(flow.mixed[0]).numel,))
            self.claim(flow.mixed, node, Role.BIAS)
            return self.after(node, features, keep_kind=True)
        return self.total(features, flow) if flow.flows else features

    def total(self, *flows: Flow) -> Flow:
        """Sum of features; a node where at least two paths meet."""
        return self.meeting("sum", flows)

    def meeting(self, op: str, flows: Iterable[Flow]) -> Flow:
        """A `sum` or `concat` node where at least two different data paths meet, else nothing."""
        flows = list(flows)
        joined = join(flows)
        paths = [flow for flow in flows if flow.carriers]
        if len(paths) < 2 or len(joined.carriers) < 2:
            return joined
        result = self.after(self.add_node(op, paths), *paths)
        self.nodes[next(iter(result.carriers))].processed = any(flow.processed for flow in paths)
        maps = all(flow.attention for flow in paths)
        return replace(result, score=any(flow.score for flow in paths), attention=maps)

    def added(self, features: Flow, value: Value, flow: Flow, added: Value) -> Flow:
        """Features plus a tensor made from parameters: a bias, a position embedding, or neither."""
        sizes = [size for size in added.shape if size > 1]
        if len(sizes) > 1 and (features.score or features.attention):
            self.keep(flow.leaves, ReasonCode.SCORE_BIAS)
            return join([features])
        if len(sizes) <= 1:
            return self.bias(features, flow)
        if flow.pure and self._is_per_channel(features, added):
            return self.bias(features, flow, per_channel=True)
        tables = [leaf for leaf in flow.leaves if _is_position(self.parameter(leaf).shape, added.shape, flow)]
        aligned = zip(reversed(value.shape), reversed(added.shape), strict=False)
        matching = sum(a == b > 1 for a, b in aligned)
        if not tables or matching < 2:
            self.keep(flow.leaves, ReasonCode.LOOKUP if flow.gathered else ReasonCode.SHAPE)
            return join([features])
        layout = position_layout(self.parameter(tables[0]).shape)
        shape = layout.merged
        node = self.add_node("pos_enc", [], shape if len(shape) > 2 else (1, *shape))
        self.claim(tables, node, Role.POSITION, layout)
        self.keep(flow.leaves, ReasonCode.SHAPE)
        return self.total(features, Flow(carriers=frozenset({node})))

    def _is_per_channel(self, features: Flow, added: Value) -> bool:
        """Whether a tensor has an element for each output channel of the layers it follows, which stand in two axes."""
        shapes = [self.nodes[node].shape for node in features.carriers if self.nodes[node].op in CHANNELWISE]
        if not shapes or len(shapes) < len(features.carriers):
            return False
        # A part of a fused layer's channels (queries of queries, keys and values) has as many as divide them.
        return all(shape is not None and shape[0] % added.numel == 0 for shape in shapes)

    def gate(self, features: Flow, value: Value, gate: Flow, gating: Value) -> Flow | None:
        """`cse` where features are multiplied by a gate computed from their own global average, else None."""
        pools = {pool for pool in gate.pools if self.pool_sources[pool] == features.carriers}
        spread = gating.distinct < value.distinct
        if not pools or not spread or not gate.carriers - pools or gate.carriers == features.carriers:
            return None
        for pool in pools:
            if pool > 0:
                self.nodes[pool].squeeze = True
        node = self.add_node("cse", [features, gate])
        return replace(self.after(node, features), pools=features.pools)


def _is_vector(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 1 and sum(size > 1 for size in shape) <= 1 and (len(shape) == 1 or max(shape) > 1)


def _is_position(shape: tuple[int, ...], used: tuple[int, ...], flow: Flow) -> bool:
    """Whether a parameter holds one row per position: at least as many rows as positions are added."""
    sizes = [size for size in shape if size > 1]
    if len(sizes) < 2:
        return False
    if flow.gathered and len(sizes) == 2:
        positions = 1
        for size in used[:-1]:
            positions *= size
        return used[-1] == shape[-1] and 1 < max(used[:-1]) <= shape[-2] and positions > 1
    return True


def _reason(name: str) -> Reason | ReasonCode:
    """Why parameters are kept that an operator without a primitive joins with features."""
    if name in operators.LOOKUPS:
        return ReasonCode.LOOKUP
    return _REASONS.get(name) or Reason(ReasonCode.NO_PRIMITIVE, operator=name)


_REASONS = {
    **dict.fromkeys(("mul", "div", "addcmul"), ReasonCode.SCALE),
    **dict.fromkeys(("cat", "stack"), ReasonCode.TOKEN),
    **dict.fromkeys(("prelu", "_prelu_kernel"), ReasonCode.SLOPE),
    **dict.fromkeys((WRITE, "copy"), ReasonCode.WRITTEN),
}
