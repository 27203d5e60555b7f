"""The rule for each operator that can be a primitive; everything else is contracted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ghn.graph.computational_graph import Role
from ghn.graph.read import operators
from ghn.graph.read.attention import (
    elementwise_product,
    exponential,
    feature_product,
    fused_attention,
    log_softmax,
    normalised_exponentials,
    softmax,
)
from ghn.graph.read.builder import Builder, Later
from ghn.graph.read.flow import CONSTANT, Flow, Stage, join
from ghn.graph.read.layout import convolution_layout, mixed_kernel_layout
from ghn.graph.read.memory.parts import Part, Parts
from ghn.graph.read.pooling import averaged_sum, avg_pool, global_avg_pool, global_max_pool, max_pool, reduction
from ghn.graph.read.rules import (
    add_parameters,
    bilinear,
    channel_gate,
    layer,
    lookup,
    meeting,
    pick,
    product_layout,
    total,
    whole_linear,
    with_bias,
)
from ghn.graph.reasons import ReasonCode
from ghn.graph.record.op_graph import FLEX_ATTENTION, GRADIENT, WRITE, Operation, Ref, Value
from ghn.graph.record.recurrent import RECURRENT, cells
from ghn.graph.unions import is_one

Handler = Callable[[Builder, Operation], Flow | Later | None]


def _convolution(builder: Builder, operation: Operation) -> Flow | None:
    """`conv`; `sep_conv` with groups; `dil_conv` with groups and every dilation over 1."""
    features, weight = operation.args[0], operation.args[1]
    x, w = builder.flow(features), builder.flow(weight)
    if not (w.is_parameter or w.mixed) or builder.computes_weight(operation):
        return None
    transposed = bool(operation.argument(6, "transposed", False))
    groups = int(operation.argument(8, "groups", 1))
    value = builder.tensor(weight)
    if w.mixed:
        return _mixed_convolution(builder, operation, value)
    op = _kind_of_convolution(operation, groups)
    kernels = [leaf for leaf in w.leaves if len(builder.parameter(leaf).shape) >= 2]
    parameter = builder.parameter(kernels[0]) if kernels else value
    out = layer(builder, op, x, weight, convolution_layout(parameter, value, transposed=transposed, groups=groups))
    if all(size == 1 for size in value.shape[2:]):
        builder.note_pointwise(out)
    return with_bias(builder, out, operation.argument(2, "bias"))


def _kind_of_convolution(operation: Operation, groups: int) -> str:
    dilation = operation.argument(5, "dilation", [1])
    if groups == 1:
        return "conv"
    return "dil_conv" if min(dilation) > 1 else "sep_conv"


def _mixed_convolution(builder: Builder, operation: Operation, weight: Value) -> Flow | None:
    """A convolution whose kernels data has mixed or modulated, one for each image of a batch or the same for all.

    It is fed by the features and by what the mixture's weights were computed from.
    """
    features, flow = builder.flow(operation.args[0]), builder.flow(operation.args[1])
    image = builder.tensor(operation.args[0])
    groups = int(operation.argument(8, "groups", 1))
    inner = (image.shape[1] // groups, *weight.shape[2:])
    layouts = {name: mixed_kernel_layout(builder.parameter(name).shape, inner) for name in flow.mixed}
    fitting = {name: layout for name, layout in layouts.items() if layout is not None}
    builder.keep(flow.mixed, ReasonCode.MIXED)
    if not fitting:
        return None
    first = next(iter(fitting.values()))
    outputs = first.view[first.stack]
    # Kernels of several images stand side by side, as groups of one convolution.
    transposed = bool(operation.argument(6, "transposed", False))
    own = outputs // weight.shape[1] if transposed else groups * outputs // weight.shape[0]
    node = builder.add_node(_kind_of_convolution(operation, own), [features, flow], first.merged)
    for name, layout in fitting.items():
        builder.claim([name], node, Role.WEIGHT, layout)
    return with_bias(builder, builder.after(node, features, keep_kind=True), operation.argument(2, "bias"))


def _deformable(builder: Builder, operation: Operation) -> Flow | None:
    """torchvision.deform_conv2d(input, weight, offset, mask, bias, ...): offsets and masks are data paths too."""
    features, weight, offset, mask, bias = operation.args[:5]
    if not builder.flow(weight).is_parameter:
        return None
    joined = join([builder.flow(features), builder.flow(offset), builder.flow(mask)])
    return with_bias(builder, layer(builder, "conv", joined, weight), bias)


def _product(builder: Builder, operation: Operation) -> Flow | None:
    return _matrix_product(builder, operation, operation.args[0], operation.args[1])


def _product_added(builder: Builder, operation: Operation) -> Flow | None:
    added, first, second = operation.args[:3]
    product = _matrix_product(builder, operation, first, second)
    if product is None or operation.kwargs.get("beta", 1) == 0:
        return product
    table = builder.value(added)
    spread = table is not None and sum(size > 1 for size in table.shape) > 1
    if spread and builder.flow(added).is_parameter and (product.score or product.attention):
        builder.keep(builder.flow(added).leaves, ReasonCode.SCORE_BIAS)
        return product
    if table is not None and spread and builder.flow(added).is_parameter:
        # Those of a stack of layers, one for each.
        return add_parameters(builder, product, builder.output(operation), builder.flow(added), table)
    return with_bias(builder, product, added)


def _matrix_product(builder: Builder, operation: Operation, first: Any, second: Any) -> Flow | None:
    a, b = builder.flow(first), builder.flow(second)
    if a.runs and b.runs:
        return feature_product(builder, a, b)
    if builder.computes_weight(operation) or not (a.is_parameter or b.is_parameter):
        return None
    weight, features, contracted = (second, a, -2) if b.is_parameter else (first, b, -1)
    if a.is_parameter and b.is_parameter and operation.name in ("bmm", "baddbmm"):
        return None
    used, leaf = builder.tensor(weight), builder.flow(weight)
    if len(used.shape) < 2:
        return None
    if leaf.gathered and not any(builder.parameter(name).numel == used.numel for name in leaf.leaves):
        builder.keep(leaf.leaves, ReasonCode.PICKED)
        return join([features])
    names = [name for name in leaf.leaves if len(builder.parameter(name).shape) >= 2]
    if not names and not (leaf.pure and min(used.shape[-2:]) > 1):
        builder.keep(leaf.leaves, ReasonCode.VECTOR)
        return join([features])
    # One without names is cut out of a vector that holds the weights of several layers.
    layout = product_layout(builder, names[0], weight, contracted) if names else None
    return layer(builder, "conv", features, weight, layout)


def _normalisation(builder: Builder, operation: Operation) -> Flow | None:
    """`bn` or `ln`: one node for weight and bias."""
    op, weight_at, bias_at = operators.NORMALISATIONS[operation.name]
    x = builder.flow(operation.args[0])
    weight = builder.flow(operation.argument(weight_at, "weight"))
    bias = builder.flow(operation.argument(bias_at, "bias")) if bias_at is not None else CONSTANT
    if builder.computes_weight(operation) or (not x.runs and not x.is_parameter):
        return None
    names = [[leaf for leaf in flow.leaves if builder.parameter(leaf).numel > 1] for flow in (weight, bias)]
    names = [leaves or list(flow.leaves) for leaves, flow in zip(names, (weight, bias), strict=True)]
    if not names[0] and not names[1]:
        return join([x], carries=True)
    shape = builder.parameter((names[0] or names[1])[0]).shape
    node = builder.add_node(op, [x], shape)
    builder.claim(names[0], node, Role.NORM_WEIGHT)
    builder.claim(names[1], node, Role.NORM_BIAS)
    return replace(builder.after(node, x), norm=None if names[1] else node)


def _addition(builder: Builder, operation: Operation) -> Flow | None:
    first, second = operation.args[0], operation.argument(1, "other")
    a, b = builder.flow(first), builder.flow(second)
    if a.runs and b.runs:
        return total(builder, a, b)
    for features, at, other, ref in ((a, first, b, second), (b, second, a, first)):
        if features.runs and other.is_parameter:
            return add_parameters(builder, features, builder.tensor(at), other, builder.tensor(ref))
    return None


def _subtraction(builder: Builder, operation: Operation) -> Flow | None:
    """A parameter taken from features is one added to them; two data paths meet in no `sum`, whose terms are alike."""
    flows = [builder.flow(operation.args[0]), builder.flow(operation.argument(1, "other"))]
    if flows[0].carriers and flows[1].stage is Stage.NORMALISER:
        return replace(join(flows), stage=Stage.LOGARITHM)
    return _addition(builder, operation) if any(flow.is_parameter for flow in flows) else None


def _fused_multiply_add(builder: Builder, operation: Operation) -> Flow | None:
    """addcmul(input, tensor1, tensor2) = input + tensor1 · tensor2."""
    base, first, second = (builder.flow(argument) for argument in operation.args[:3])
    product = join([first, second])
    if not product.runs or not base.is_parameter:
        return total(builder, base, product) if base.runs and product.runs else None
    builder.keep((first if first.is_parameter else second).leaves, ReasonCode.SCALE)
    return add_parameters(builder, product, builder.output(operation), base, builder.tensor(operation.args[0]))


def _multiplication(builder: Builder, operation: Operation) -> Flow | None:
    """`cse` for a channel gate, `ln` for the weight of a normalisation written out, else contracted."""
    first, second = operation.args[0], operation.argument(1, "other")
    a, b = builder.flow(first), builder.flow(second)
    if isinstance(second, (int, float)):
        return averaged_sum(builder, operation, a, second)
    for features, at, other, ref in ((a, first, b, second), (b, second, a, first)):
        value, by = builder.value(at), builder.value(ref)
        if value is None or by is None or not features.runs:
            continue
        if other.runs and features.carriers:
            gated = channel_gate(builder, features, value, other, by)
            if gated is not None:
                return gated
        exponentials = normalised_exponentials(features, other)
        if exponentials is not None:
            return exponentials
        if other.runs and other.statistic and by.distinct < value.distinct:
            return replace(join([a, b]), normalised=True)
        if features.normalised and other.pure and is_one(other.leaves) and _one_axis(by.shape):
            node = builder.add_node("ln", [features], (builder.parameter(next(iter(other.leaves))).numel,))
            builder.claim(other.leaves, node, Role.NORM_WEIGHT)
            return replace(builder.after(node, features), norm=node)
    same = isinstance(first, Ref) and first == second
    return None if same else elementwise_product(a, b)


def _one_axis(shape: tuple[int, ...]) -> bool:
    return sum(size > 1 for size in shape) == 1


def _division(builder: Builder, operation: Operation) -> Flow | None:
    first, second = operation.args[0], operation.argument(1, "other")
    a, b = builder.flow(first), builder.flow(second)
    if isinstance(second, (int, float)):
        return averaged_sum(builder, operation, a, 1 / second) if second else None
    value, by = builder.value(first), builder.value(second)
    exponentials = normalised_exponentials(a, b)
    if exponentials is not None:
        return exponentials
    if value is not None and by is not None and a.runs and b.statistic and by.distinct < value.distinct:
        return replace(join([a, b]), normalised=True)
    return None


def _concatenation(builder: Builder, operation: Operation) -> Flow | None:
    flows = builder.inputs(operation)
    if not builder.output(operation).carries or sum(bool(flow.carriers) for flow in flows) < 2:
        return None
    for flow in flows:
        if flow.is_parameter:
            builder.keep(flow.leaves, ReasonCode.TOKEN)
    return _side_by_side(builder, flows)


def _side_by_side(builder: Builder, flows: list[Flow]) -> Flow | None:
    """`concat` of features; scores and attention weights stay what they are."""
    if all(flow.attention for flow in flows if flow.runs) or all(flow.score for flow in flows if flow.runs):
        return None
    return meeting(builder, "concat", flows)


def _recurrent(builder: Builder, operation: Operation) -> Flow | None:
    """Per layer and direction: input-to-hidden weight and bias, hidden-to-hidden weight and bias, in a chain."""
    sequence, parameters, both = cells(operation.args)
    features = builder.flow(sequence)
    if not features.runs:
        return None
    step = 2 if both else 1
    for first in range(0, len(parameters), step):
        outputs = [_cell(builder, features, references) for references in parameters[first : first + step]]
        features = meeting(builder, "concat", outputs)
    return replace(features, processed=True)


def _cell(builder: Builder, features: Flow, references: list[Any]) -> Flow:
    weights = [ref for ref in references if len(builder.tensor(ref).shape) == 2]
    biases = [ref for ref in references if len(builder.tensor(ref).shape) == 1]
    for index, weight in enumerate(weights):
        features = layer(builder, "conv", features, weight)
        if index < len(biases):
            features = with_bias(builder, features, biases[index])
    return features


def _copy(builder: Builder, operation: Operation) -> Flow | None:
    """copy_(destination, source): what stood there is gone."""
    source = operation.args[1]
    return builder.flow(source) if isinstance(source, Ref) else CONSTANT


def _written(builder: Builder, operation: Operation) -> Flow | Later | None:
    """A tensor of which parts were written: `concat` where these, or they and what is left of it, are different paths.

    What was written over since, and what lies below parts that cover everything, is gone.
    """
    base, *new = operation.inputs
    whole, parts = builder.tensor(Ref(base)), builder.parts(base)
    for at in new:
        parts = parts.with_part(Part(builder.flow(Ref(at)), builder.tensor(Ref(at))), over=True)
    if parts.written.size >= whole.distinct:
        parts = parts.without_base(whole)
    return _of_parts(builder, operation, parts)


def _written_into(builder: Builder, operation: Operation) -> Flow | Later | None:
    """slice_scatter(input, source, ...) and such: a part is written, at places that data does not choose."""
    references = [argument for argument in operation.args if isinstance(argument, Ref)]
    base, source = references[0], references[-1]
    if operation.name == "index_put":
        indices = [index for index in operation.args[1] if isinstance(index, Ref)]
        masks = any(builder.tensor(index).dtype == torch.bool or builder.flow(index).runs for index in indices)
        if masks or operation.argument(3, "accumulate", False):
            return None
    part = Part(builder.flow(source), builder.tensor(source))
    return _of_parts(builder, operation, builder.parts(base.value).with_part(part, over=False))


def _of_parts(builder: Builder, operation: Operation, parts: Parts) -> Flow | Later | None:
    builder.note_parts(operation, parts)
    counted = parts.all
    if counted.carrying < 2:
        if parts.base.flow is not CONSTANT or counted.parameters:
            return None
        return (lambda: join(part.flow for part in parts)) if counted.varying else CONSTANT
    for flow in parts.parameters_to_note():
        builder.keep(flow.leaves, ReasonCode.WRITTEN)
    # Scores and attention weights stay what they are.
    if counted.running in (counted.scores, counted.weights):
        return None
    # It is made when it is read, which of a buffer filled part by part the last one is, and keeps its place in order.
    node = builder.reserve_node("concat")
    return lambda: meeting(builder, "concat", [part.flow for part in parts], at=node)


def _gradient(builder: Builder, operation: Operation) -> Flow | None:
    """What differentiation computes comes from what is differentiated; steps of parameters leave them parameters.

    Parameters that a loss updates (meta-learning, Finn et al., ICML 2017) are the weights of layers as before, so their
    gradients are no features. Whatever computed these is used.
    """
    flow = join(builder.inputs(operation))
    if len(operation.args) == 2 and flow.runs and builder.flow(operation.args[1]).is_parameter:
        builder.note_used(flow)
        return CONSTANT
    return replace(flow, processed=True) if flow.runs else None


def _shape_only(builder: Builder, operation: Operation) -> Flow | None:
    return CONSTANT


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(operators.CONVOLUTIONS, _convolution),
    "linear": whole_linear,
    "torchvision.deform_conv2d": _deformable,
    "_trilinear": bilinear,
    **dict.fromkeys((*operators.MATRIX_PRODUCTS, "transformers.grouped_mm_fallback"), _product),
    **dict.fromkeys(operators.MATRIX_PRODUCTS_ADDED, _product_added),
    **dict.fromkeys(operators.NORMALISATIONS, _normalisation),
    **dict.fromkeys(operators.SOFTMAXES, softmax),
    **dict.fromkeys(operators.LOG_SOFTMAXES, log_softmax),
    **dict.fromkeys(("exp", "exp2"), exponential),
    "_scaled_dot_product_flash_attention": fused_attention,
    "_scaled_dot_product_flash_attention_for_cpu": fused_attention,
    "_scaled_dot_product_efficient_attention": fused_attention,
    "_scaled_dot_product_cudnn_attention": fused_attention,
    "_scaled_dot_product_fused_attention_overrideable": fused_attention,
    "_flash_attention_forward": fused_attention,
    "_efficient_attention_forward": fused_attention,
    "scaled_dot_product_attention": fused_attention,
    FLEX_ATTENTION: fused_attention,
    **dict.fromkeys(operators.MAX_POOLS, max_pool),
    **dict.fromkeys(operators.AVG_POOLS, avg_pool),
    **dict.fromkeys(operators.GLOBAL_AVG_POOLS, global_avg_pool),
    **dict.fromkeys(operators.GLOBAL_MAX_POOLS, global_max_pool),
    **dict.fromkeys(operators.REDUCTIONS, reduction),
    "add": _addition,
    **dict.fromkeys(("sub", "rsub"), _subtraction),
    "addcmul": _fused_multiply_add,
    "mul": _multiplication,
    "div": _division,
    **dict.fromkeys(("cat", "stack"), _concatenation),
    **dict.fromkeys(operators.LOOKUPS, lookup),
    **dict.fromkeys(operators.INDEXED, pick),
    "copy": _copy,
    WRITE: _written,
    **dict.fromkeys(operators.SCATTERS, _written_into),
    GRADIENT: _gradient,
    **dict.fromkeys(RECURRENT, _recurrent),
    **dict.fromkeys(operators.SHAPE_ONLY, _shape_only),
}
