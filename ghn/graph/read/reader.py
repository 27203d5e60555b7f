"""Read a record operator by operator: the handler of each, or contraction.

No rule looks at module classes or layer names: a convolution's weight is what an operator convolves with, a bias is a
1-D parameter added to features, attention is a softmax whose weights multiply features, a channel gate is a product of
features with something computed from their own global average.

Source: the vocabulary and contraction rules of GHN-2's graphs (Knyazev et al., NeurIPS 2021, appendix A).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from ghn.graph.read import operators
from ghn.graph.read.builder import Builder, Later, Reading
from ghn.graph.read.flow import Flow, join
from ghn.graph.read.handlers import HANDLERS
from ghn.graph.read.rules import contract, product_layout
from ghn.graph.record.op_graph import Operation, OpGraph
from ghn.graph.unions import ordered, union

PRODUCTS = operators.MATRIX_PRODUCTS | operators.MATRIX_PRODUCTS_ADDED


def read(record: OpGraph) -> Reading:
    """What the operators of a record mean, in one pass in the order of execution.

    Args:
        record: What ran.
    """
    builder = Builder(record)
    for operation in record.operations:
        builder.set_result(operation, _result(builder, operation))
    return builder.finish()


def _result(builder: Builder, operation: Operation) -> Flow | Later:
    mixes = builder.mixes_weight(operation)
    if builder.is_view_of_parts(operation) and not mixes:
        return partial(contract, builder, operation)
    flow: Flow | Later | None = _mixed(builder, operation) if mixes else None
    handler = HANDLERS.get(operation.name)
    if flow is None and handler:
        flow = handler(builder, operation)
    return contract(builder, operation) if flow is None else flow


def _mixed(builder: Builder, operation: Operation) -> Flow | None:
    """Kernels that data mixes or modulates: the nodes that data comes from, and the parameters that are mixed."""
    mixed = _mixed_parameters(builder, operation)
    return replace(join(builder.inputs(operation)), mixed=mixed) if mixed else None


def _mixed_parameters(builder: Builder, operation: Operation) -> Collection[str]:
    """The parameters that an operation on the way to a data-dependent weight mixes, or hands on.

    A matrix product mixes members of a stack if it sums over the first axis of a parameter; the weight of a linear
    layer, which may as well generate kernels, is summed over its last.
    """
    if operation.name in PRODUCTS:
        return _mixed_in_product(builder, operation)
    if operation.name not in operators.MIXING:
        return ()
    flows = builder.inputs(operation)
    return union((flow.mixed if flow.runs else flow.leaves for flow in flows), ordered)


def _mixed_in_product(builder: Builder, operation: Operation) -> Collection[str]:
    if operation.name in operators.MATRIX_PRODUCTS_ADDED:
        return ()
    for reference, contracted in ((operation.args[0], -1), (operation.args[1], -2)):
        flow = builder.flow(reference)
        if not flow.is_parameter:
            continue
        if len(builder.tensor(reference).shape) < 2 or len(builder.parameter(next(iter(flow.leaves))).shape) < 2:
            return ()
        layout = product_layout(builder, next(iter(flow.leaves)), reference, contracted)
        return flow.leaves if layout.axes[-1] == 0 else ()
    return ()
