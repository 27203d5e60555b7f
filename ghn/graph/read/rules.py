"""Rules that several operators share: contraction, layers with their biases, sums, lookups, channel gates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ghn.graph.computational_graph import Role
from ghn.graph.read import operators
from ghn.graph.read.builder import INPUT, Builder
from ghn.graph.read.flow import Flow, Stage, join
from ghn.graph.read.layout import Layout, bilinear_layout, matrix_layout, position_layout
from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.record.op_graph import WRITE, Operation, Ref, Value
from ghn.graph.unions import is_one

CHANNELWISE = ("conv", "sep_conv", "dil_conv", "bias")
"""Nodes whose shape begins with the number of their output channels."""


def contract(builder: Builder, operation: Operation) -> Flow:
    """An operation that is no primitive: its inputs' carriers become its output's."""
    flows = builder.inputs(operation)
    out = builder.output(operation)
    result = join(flows, carries=out.carries)
    if result.runs:
        for flow in flows:
            if flow.is_parameter:
                builder.keep(flow.leaves, _reason(operation.name))
        if operation.name in operators.ACTIVATIONS:
            return replace(result, processed=True, normalised=False, score=False, attention=False, stage=Stage.NONE)
        return result if operation.name in operators.TRANSPARENT else replace(result, processed=True)
    if result.leaves and operation.name in operators.VIEWS and len(operation.inputs) == 1:
        return flows[0]
    if result.leaves and operation.name in operators.PICKS:
        return replace(result, gathered=True)
    return result


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


def _weight_names(builder: Builder, weight: Flow, value: Value) -> list[str]:
    """Which of the parameters behind a weight are the weight itself; the others are kept as its reparametrisation.

    A parameter with as many elements as the weight is it; several that fill it together (concatenated) all are;
    so is a parameter of which the weight is a part.
    """
    leaves = [leaf for leaf in weight.leaves if len(builder.parameter(leaf).shape) >= 2]
    exact = [leaf for leaf in leaves if builder.parameter(leaf).numel == value.numel]
    if weight.pure and not weight.gathered:
        chosen = leaves[:1]
    elif exact:
        chosen = exact[:1]
    elif not weight.gathered and sum(builder.parameter(leaf).numel for leaf in leaves) == value.numel:
        chosen = leaves
    else:
        chosen = []
    others = [leaf for leaf in weight.leaves if leaf not in chosen]
    builder.keep(others, Reason(ReasonCode.REPARAMETRISES, weight=chosen[0]) if chosen else ReasonCode.COMPUTED)
    return chosen


def layer(builder: Builder, op: str, features: Flow, weight: Ref, layout: Layout | None = None) -> Flow:
    """Append a node for a weight that features are multiplied or convolved with."""
    value = builder.tensor(weight)
    names = _weight_names(builder, builder.flow(weight), value)
    shape = value.shape
    if names:
        own = [builder.parameter(name).shape for name in names]
        merged = [layout.of(one).merged if layout else one for one in own]
        # Those of a stack, or one below the other, have their outputs together.
        if len(names) == 1 or (layout and len({one[1:] for one in merged}) == 1):
            shape = (sum(one[0] for one in merged), *merged[0][1:])
    node = builder.add_node(op, [features], shape)
    if features.is_parameter:
        builder.keep(features.leaves, ReasonCode.FEATURES)
    builder.claim(names, node, Role.WEIGHT, layout)
    return builder.after(node, features, keep_kind=True)


def product_layout(builder: Builder, name: str, reference: Ref, contracted: int) -> Layout:
    """Layout of a parameter that a matrix product uses as `reference`, summing over its axis `contracted`."""
    parameter, used = builder.parameter(name), builder.tensor(reference)
    contracted %= len(used.shape)
    factors = builder.factors(reference, contracted, parameter.storage)
    return matrix_layout(parameter, used, contracted, factors)


def add_bias(builder: Builder, features: Flow, flow: Flow, added: Value, *, per_channel: bool = False) -> Flow:
    """Append a node for a bias, or give it to the normalisation that it follows.

    Args:
        features: What it is added to.
        flow: The bias: of the parameters that it is made from, the vectors are predicted.
        added: Its tensor.
        per_channel: Whether it is a bias whatever the shape of its parameter.
    """
    names = [leaf for leaf in flow.leaves if per_channel or _is_vector(builder.parameter(leaf).shape)]
    names = [name for name in names if builder.parameter(name).numel > 1] or names
    _keep_rest(builder, flow, names, single=added.numel == 1)
    if not names:
        return features
    if features.norm is not None:
        builder.claim(names, features.norm, Role.NORM_BIAS)
        return replace(features, norm=None)
    count = builder.parameter(names[0]).numel
    node = builder.add_node("bias", [features], (count,))
    builder.claim(names, node, Role.BIAS)
    return builder.after(node, features, keep_kind=True)


def _keep_rest(builder: Builder, flow: Flow, names: list[str], *, single: bool) -> None:
    """Keep what a bias is made from besides some parameters: numbers that scale it, tables of which it is a row."""
    for leaf in flow.leaves:
        if leaf not in names:
            table = ReasonCode.LOOKUP if flow.pure or flow.gathered else ReasonCode.SHAPE
            builder.keep([leaf], ReasonCode.SCALAR if single or builder.parameter(leaf).numel == 1 else table)


def with_bias(builder: Builder, features: Flow, reference: Any) -> Flow:
    """A layer's own bias argument, if there is one and it is made from parameters."""
    flow = builder.flow(reference)
    if flow.is_parameter:
        return add_bias(builder, features, flow, builder.tensor(reference))
    if flow.mixed:
        node = builder.add_node("bias", [features, flow], (builder.parameter(next(iter(flow.mixed))).numel,))
        builder.claim(flow.mixed, node, Role.BIAS)
        return builder.after(node, features, keep_kind=True)
    return total(builder, features, flow) if flow.runs else features


def total(builder: Builder, *flows: Flow) -> Flow:
    """Sum of features; a node where at least two paths meet."""
    return meeting(builder, "sum", flows)


def meeting(builder: Builder, op: str, flows: Iterable[Flow], *, at: int | None = None) -> Flow:
    """A `sum` or `concat` node where at least two different data paths meet, else nothing.

    Args:
        builder: Takes it down.
        op: Its primitive.
        flows: What meets.
        at: Where it was reserved, if it was.
    """
    flows = list(flows)
    joined = join(flows)
    paths = [flow for flow in flows if flow.carriers]
    if len(paths) < 2 or is_one(joined.carriers):
        return joined
    node = builder.add_node(op, paths, processed=any(flow.processed for flow in paths), at=at)
    result = builder.after(node, *paths)
    maps = all(flow.attention for flow in paths)
    return replace(result, score=any(flow.score for flow in paths), attention=maps)


def bilinear(builder: Builder, operation: Operation) -> Flow | None:
    """_trilinear(first, weight, second, ...) of nn.Bilinear: a linear layer of all products of two features."""
    first, weight, second = operation.args[:3]
    if not builder.flow(weight).is_parameter or not (builder.flow(first).runs or builder.flow(second).runs):
        return None
    (name, *others) = builder.flow(weight).leaves
    shape = builder.parameter(name).shape
    layout = bilinear_layout(shape) if not others and len(shape) == 3 else None
    return layer(builder, "conv", join([builder.flow(first), builder.flow(second)]), weight, layout)


def whole_linear(builder: Builder, operation: Operation) -> Flow | None:
    """linear(input, weight, bias), which arrives whole where features are nested."""
    features, weight = operation.args[:2]
    if not builder.flow(features).runs or not builder.flow(weight).is_parameter or builder.computes_weight(operation):
        return None
    return with_bias(builder, layer(builder, "conv", builder.flow(features), weight), operation.argument(2, "bias"))


def add_parameters(builder: Builder, features: Flow, value: Value, flow: Flow, added: Value) -> Flow:
    """Features plus a tensor made from parameters: a bias, a position embedding, or neither."""
    sizes = [size for size in added.shape if size > 1]
    if len(sizes) > 1 and (features.score or features.attention):
        builder.keep(flow.leaves, ReasonCode.SCORE_BIAS)
        return join([features])
    if len(sizes) <= 1:
        return add_bias(builder, features, flow, added)
    if (flow.pure or _is_whole(builder, flow, added)) and _is_per_channel(builder, features, added):
        return add_bias(builder, features, flow, added, per_channel=True)
    tables = [leaf for leaf in flow.leaves if _is_position(builder.parameter(leaf).shape, added.shape, flow)]
    aligned = zip(reversed(value.shape), reversed(added.shape), strict=False)
    matching = sum(a == b > 1 for a, b in aligned)
    if not tables or matching < 2:
        builder.keep(flow.leaves, ReasonCode.LOOKUP if flow.gathered else ReasonCode.SHAPE)
        return join([features])
    layout = position_layout(builder.parameter(tables[0]).shape)
    shape = layout.merged
    node = builder.add_node("pos_enc", [], shape if len(shape) > 2 else (1, *shape))
    builder.claim(tables, node, Role.POSITION, layout)
    builder.keep(flow.leaves, ReasonCode.SHAPE)
    return total(builder, features, Flow(carriers=frozenset({node})))


def _is_whole(builder: Builder, flow: Flow, added: Value) -> bool:
    """Whether a tensor is filled by parameters that were stacked or concatenated, each of them once."""
    return not flow.gathered and sum(builder.parameter(leaf).numel for leaf in flow.leaves) == added.numel


def _is_per_channel(builder: Builder, features: Flow, added: Value) -> bool:
    """Whether a tensor has an element for each output channel of the layers it follows, which stand in two axes."""
    shapes = [node.shape for node in map(builder.node, features.carriers) if node.op in CHANNELWISE]
    if not shapes or len(shapes) < len(features.carriers):
        return False
    # A part of a fused layer's channels (queries of queries, keys and values) has as many as divide them.
    return all(shape is not None and shape[0] % added.numel == 0 for shape in shapes)


def lookup(builder: Builder, operation: Operation) -> Flow | None:
    """Rows picked by data or chance keep their table; rows picked by constants may be a position embedding."""
    table = builder.flow(operation.args[0])
    by_data = any(flow.runs for flow in builder.inputs(operation)[1:])
    if not table.is_parameter or not (by_data or builder.picks_by_chance(operation)):
        return None
    builder.keep_lookup(table.leaves)
    return Flow(carriers=frozenset({INPUT}), data=True)


def pick(builder: Builder, operation: Operation) -> Flow | None:
    """Elements of a parameter that are picked by chance are no positions."""
    table = builder.flow(operation.args[0])
    return lookup(builder, operation) if table.is_parameter and builder.picks_by_chance(operation) else None


def channel_gate(builder: Builder, features: Flow, value: Value, gate: Flow, gating: Value) -> Flow | None:
    """`cse` where features are multiplied by a gate computed from their own global average, else None."""
    pools = builder.averages_of(features, gate.pools)
    spread = gating.distinct < value.distinct
    # Most products have no average among them; only those that have are worth a look into what carries them.
    if not pools or not spread or gate.carriers == features.carriers or all(node in pools for node in gate.carriers):
        return None
    builder.squeeze(pools)
    node = builder.add_node("cse", [features, gate])
    return replace(builder.after(node, features), pools=features.pools)


def _is_vector(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 1 and sum(size > 1 for size in shape) <= 1 and (len(shape) == 1 or max(shape) > 1)


def _is_position(shape: tuple[int, ...], used: tuple[int, ...], flow: Flow) -> bool:
    """Whether a parameter holds one row per position: at least as many rows as positions are added."""
    sizes = [size for size in shape if size > 1]
    if len(sizes) < 2:
        return False
    if flow.gathered and len(sizes) == 2:
        return used[-1] == shape[-1] and 1 < max(used[:-1]) <= shape[-2] and 0 not in used[:-1]
    return True
