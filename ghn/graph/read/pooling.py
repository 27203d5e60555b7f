"""The rules of pooling: an average over space is `glob_avg`, whichever operators compute it.

Space is all axes but batch and channels; the channels stand second or last.
"""

from __future__ import annotations

from dataclasses import replace
from math import isclose, prod

from ghn.graph.read.attention import summed_product
from ghn.graph.read.flow import Flow, Stage
from ghn.graph.read.rules import Rules
from ghn.graph.record.op_graph import Operation


def max_pool(rules: Rules, operation: Operation) -> Flow | None:
    """`max_pool` with its kernel."""
    return _pool(rules, operation, "max_pool")


def avg_pool(rules: Rules, operation: Operation) -> Flow | None:
    """`avg_pool` with its kernel; `glob_avg` where the kernel is the whole map."""
    x, value = rules.flow(operation.args[0]), rules.value(operation.args[0])
    assert value is not None
    kernel = tuple(_kernel(operation))
    space = value.shape[-len(kernel) :]
    padding = operation.argument(3, "padding", 0)
    padded = padding if isinstance(padding, int) else any(padding)
    if x.carriers and kernel == space and max(space) > 1 and not padded:
        return _global_average(rules, x)
    return _pool(rules, operation, "avg_pool")


def _kernel(operation: Operation) -> list[int]:
    kernel = operation.argument(1, "kernel_size")
    kernel = [kernel] if isinstance(kernel, int) else list(kernel)
    return kernel * 2 if len(kernel) == 1 and "2d" in operation.name else kernel


def _pool(rules: Rules, operation: Operation, op: str) -> Flow | None:
    x = rules.flow(operation.args[0])
    if not x.carriers:
        return None
    kernel = _kernel(operation)
    height, width = ([*kernel, 1] if len(kernel) == 1 else kernel)[-2:]
    return rules.after(rules.add_node(op, [x], (1, 1, height, width)), x)


def global_max_pool(rules: Rules, operation: Operation) -> Flow | None:
    """Adaptive maximum pooling: `max_pool` without a kernel."""
    x = rules.flow(operation.args[0])
    return rules.after(rules.add_node("max_pool", [x]), x) if x.carriers else None


def global_avg_pool(rules: Rules, operation: Operation) -> Flow | None:
    """Adaptive average pooling."""
    x = rules.flow(operation.args[0])
    return _global_average(rules, x) if x.carriers else None


def _global_average(rules: Rules, x: Flow) -> Flow:
    node = rules.add_node("glob_avg", [x])
    rules.pool_sources[node] = x.carriers
    out = rules.after(node, x)
    return replace(out, pools=out.pools | {node}, statistic=True)


def reduction(rules: Rules, operation: Operation) -> Flow | None:
    """A mean over space is `glob_avg`; any other reduction of features is a statistic of theirs."""
    x = rules.flow(operation.args[0])
    if not x.flows:
        return None
    value = rules.value(operation.args[0])
    assert value is not None
    if operation.name == "sum":
        product = summed_product(rules, operation, x)
        if product is not None:
            return product
    features = bool(x.carriers) and not (x.score or x.attention)
    if operation.name == "mean" and features and _over_space(value.shape, operation, averaged=x.statistic):
        kept = len(rules.output(operation).shape) == 3 and not x.statistic
        return _average(rules, x, rules.contract(operation), ambiguous=kept and len(value.shape) == 3)
    out = replace(rules.contract(operation), statistic=True, normalised=False)
    if operation.name == "logsumexp":
        return replace(out, stage=Stage.NORMALISER)
    if operation.name == "sum" and features and (len(value.shape) > 2 or x.summed):
        return replace(out, summed=max(x.summed, 1) * value.numel // max(rules.output(operation).numel, 1))
    return out


def averaged_sum(rules: Rules, operation: Operation, x: Flow, factor: float) -> Flow | None:
    """A sum over space times one over the number of its terms is a mean."""
    if not x.summed or not isclose(factor * x.summed, 1, rel_tol=1e-4):
        return None
    shape = rules.output(operation).shape
    if len(shape) > 2 and prod(shape[2:]) > 1 and prod(shape[1:-1]) > 1:
        return None
    return _average(rules, x, rules.contract(operation), ambiguous=len(shape) == 3)


def _average(rules: Rules, x: Flow, contracted: Flow, *, ambiguous: bool) -> Flow:
    """`glob_avg`, or a pool without a node, which may prove the squeeze of a channel gate but is no pooling else.

    The last axis of three is space after (batch, channels, space), and channels in normalisations, which keep it.
    """
    if not ambiguous:
        return _global_average(rules, x)
    pool = -1 - len(rules.pool_sources)
    rules.pool_sources[pool] = x.carriers
    return replace(contracted, statistic=True, normalised=False, summed=0, pools=contracted.pools | {pool})


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
