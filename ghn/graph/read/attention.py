"""The rules of attention: products of features are scores, a softmax makes weights of them, weighted sums are `msa`.

None of the three needs the operator that bears its name. A product of queries and keys is a matrix product, or an
elementwise one that is summed over; a softmax may be written out, with exponentials divided by their sum or with
logarithms; and its weights may be multiplied with the values element by element before these are summed. Weights come
from a softmax of anything: where a layer computes them without keys (separable attention, MobileViT v2, Mehta and
Rastegari, 2022; attention pooling; soft mixtures of experts), the weighted sum is `msa` as well. Gates computed from a
pooled feature map are `cse` (see `rules.channel_gate`), also where a softmax made them.
"""

from __future__ import annotations

from dataclasses import replace

from ghn.graph.read.builder import Builder
from ghn.graph.read.flow import Flow, Stage, join
from ghn.graph.read.rules import contract
from ghn.graph.reasons import ReasonCode
from ghn.graph.record.op_graph import Operation


def feature_product(builder: Builder, a: Flow, b: Flow) -> Flow:
    """Queries with keys give attention scores; a softmax's weights with values are attention."""
    if _weighs(a) != _weighs(b):
        return builder.after(builder.add_node("msa", [a, b]), a, b)
    joined = join([a, b])
    # A product of scores with values (linear attention) holds features again.
    score = not (a.score or b.score)
    return replace(joined, score=score, attention=False, normalised=False, statistic=False, stage=Stage.NONE)


def _weighs(flow: Flow) -> bool:
    """Whether it holds a softmax's weights; its exponentials are, too: their sum may divide the result."""
    return flow.attention or (flow.score and flow.stage is Stage.EXPONENTIAL)


def elementwise_product(a: Flow, b: Flow) -> Flow | None:
    """A product of two different feature tensors, which is a scalar product or a weighted sum once it is summed."""
    if not (a.carriers and b.carriers) or a.score or b.score or a.statistic or b.statistic:
        return None
    # The entropy of a prediction attends to nothing.
    if Stage.LOGARITHM in (a.stage, b.stage):
        return None
    return replace(join([a, b]), stage=Stage.PRODUCT if a.attention == b.attention else Stage.WEIGHTED)


def summed_product(builder: Builder, operation: Operation, x: Flow) -> Flow | None:
    """Scores or `msa` where an elementwise product is summed over."""
    if x.stage is Stage.WEIGHTED:
        return builder.after(builder.add_node("msa", [x]), x)
    axes = operation.argument(1, "dim", None)
    if x.stage is Stage.PRODUCT and axes is not None and (isinstance(axes, int) or len(axes) == 1):
        return replace(join([x]), score=True, stage=Stage.NONE)
    return None


def fused_attention(builder: Builder, operation: Operation) -> Flow | None:
    """Kernels that take queries, keys and values and hide the softmax."""
    flows = builder.inputs(operation)
    if not any(flow.runs for flow in flows):
        return None
    for flow in flows[3:]:
        if flow.is_parameter:
            builder.keep(flow.leaves, ReasonCode.SCORE_BIAS)
    return builder.after(builder.add_node("msa", [flow for flow in flows if flow.runs]), *flows)


def softmax(builder: Builder, operation: Operation) -> Flow | None:
    """The weights of attention, whatever they are computed from."""
    flow = join(builder.inputs(operation))
    return replace(flow, attention=True, score=False, stage=Stage.NONE) if flow.runs else None


def log_softmax(builder: Builder, operation: Operation) -> Flow | None:
    """Logarithms of weights."""
    flow = contract(builder, operation)
    return replace(flow, stage=Stage.LOGARITHM) if flow.runs else None


def exponential(builder: Builder, operation: Operation) -> Flow | None:
    """Weights from their logarithms, or the first step of a softmax."""
    flow = contract(builder, operation)
    if not flow.runs:
        return None
    if flow.stage is Stage.LOGARITHM:
        return replace(flow, attention=True, score=False, stage=Stage.NONE)
    return replace(flow, stage=Stage.EXPONENTIAL)


def normalised_exponentials(a: Flow, b: Flow) -> Flow | None:
    """What a softmax's division gives: `a` divided by `b`, a sum of exponentials.

    Exponentials become weights. Values that were summed with exponentials as their weights remain what they are: no
    path runs through the divisor alone.
    """
    if b.stage is not Stage.EXPONENTIAL or not b.statistic or a.statistic or not a.carriers:
        return None
    if a.stage is Stage.EXPONENTIAL:
        return replace(join([a, b]), attention=True, score=False, stage=Stage.NONE)
    return join([a])
