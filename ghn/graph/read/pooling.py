"""The rules of pooling: an average over space is `glob_avg`, whichever operators compute it.

Space is all axes but batch and channels; the channels stand second or last.
"""

from __future__ import annotations

from dataclasses import replace
from math import isclose, prod

from ghn.graph.read.attention import summed_product
from ghn.graph.read.builder import Builder
from ghn.graph.read.flow import Flow, Stage, gathered
from ghn.graph.read.rules import contract
from ghn.graph.record.op_graph import Operation


def max_pool(builder: Builder, operation: Operation) -> Flow | None:
    """`max_pool` with its kernel."""
    return _pool(builder, operation, "max_pool")


def avg_pool(builder: Builder, operation: Operation) -> Flow | None:
    """`avg_pool` with its kernel; `glob_avg` where the kernel is the whole map."""
    x, value = builder.flow(operation.args[0]), builder.tensor(operation.args[0])
    kernel = tuple(_kernel(operation))
    space = value.shape[-len(kernel) :]
    padding = operation.argument(3, "padding", 0)
    padded = padding if isinstance(padding, int) else any(padding)
    if x.carriers and kernel == space and max(space) > 1 and not padded:
        return _global_average(builder, x)
    return _pool(builder, operation, "avg_pool")


def _kernel(operation: Operation) -> list[int]:
    kernel = operation.argument(1, "kernel_size")
    kernel = [kernel] if isinstance(kernel, int) else list(kernel)
    return kernel * 2 if len(kernel) == 1 and "2d" in operation.name else kernel


def _pool(builder: Builder, operation: Operation, op: str) -> Flow | None:
    x = builder.flow(operation.args[0])
    if not x.carriers:
        return None
    kernel = _kernel(operation)
    height, width = ([*kernel, 1] if len(kernel) == 1 else kernel)[-2:]
    return builder.after(builder.add_node(op, [x], (1, 1, height, width)), x)


def global_max_pool(builder: Builder, operation: Operation) -> Flow | None:
    """Adaptive maximum pooling: `max_pool` without a kernel."""
    x = builder.flow(operation.args[0])
    return builder.after(builder.add_node("max_pool", [x]), x) if x.carriers else None


def global_avg_pool(builder: Builder, operation: Operation) -> Flow | None:
    """Adaptive average pooling."""
    x = builder.flow(operation.args[0])
    return _global_average(builder, x) if x.carriers else None


def _global_average(builder: Builder, x: Flow) -> Flow:
    node = builder.add_node("glob_avg", [x])
    out = builder.after(node, x)
    return replace(out, pools=gathered([out.pools, frozenset({builder.note_average(x, node)})]), statistic=True)


def reduction(builder: Builder, operation: Operation) -> Flow | None:
    """A mean over space is `glob_avg`; any other reduction of features is a statistic of theirs."""
    x = builder.flow(operation.args[0])
    if not x.runs:
        return None
    value = builder.tensor(operation.args[0])
    if operation.name == "sum":
        product = summed_product(builder, operation, x)
        if product is not None:
            return product
    features = bool(x.carriers) and not (x.score or x.attention)
    if operation.name == "mean" and features and _over_space(value.shape, operation, averaged=x.statistic):
        kept = len(builder.output(operation).shape) == 3 and not x.statistic
        return _average(builder, x, contract(builder, operation), ambiguous=kept and len(value.shape) == 3)
    out = replace(contract(builder, operation), statistic=True, normalised=False)
    if operation.name == "logsumexp":
        return replace(out, stage=Stage.NORMALISER)
    if operation.name == "sum" and features and (len(value.shape) > 2 or x.summed):
        return replace(out, summed=max(x.summed, 1) * value.numel // max(builder.output(operation).numel, 1))
    return out


def averaged_sum(builder: Builder, operation: Operation, x: Flow, factor: float) -> Flow | None:
    """A sum over space times one over the number of its terms is a mean."""
    if not x.summed or not isclose(factor * x.summed, 1, rel_tol=1e-4):
        return None
    shape = builder.output(operation).shape
    if len(shape) > 2 and prod(shape[2:]) > 1 and prod(shape[1:-1]) > 1:
        return None
    return _average(builder, x, contract(builder, operation), ambiguous=len(shape) == 3)


def _average(builder: Builder, x: Flow, contracted: Flow, *, ambiguous: bool) -> Flow:
    """`glob_avg`, or a pool without a node, which may prove the squeeze of a channel gate but is no pooling else.

    The last axis of three is space after (batch, channels, space), and channels in normalisations, which keep it.
    """
    if not ambiguous:
        return _global_average(builder, x)
    pools = gathered([contracted.pools, frozenset({builder.note_average(x)})])
    return replace(contracted, statistic=True, normalised=False, summed=0, pools=pools)


def _over_space(shape: tuple[int, ...], operation: Operation, *, averaged: bool) -> bool:
    """Whether a mean runs over all axes of space; axes of one element have been averaged before."""
    axes = operation.argument(1, "dim", None)
    rank = len(shape)
    if rank < 3 or axes is None:
        return False
    reduced = {axis % rank for axis in ([axes] if isinstance(axes, int) else axes)}
    if averaged:
        reduced |= {axis for axis in range(1, rank) if shape[axis] == 1}
    return reduced in (set(range(2, rank)), set(range(1, rank - 1)))
