"""Parameters that stand side by side in one tensor, of which a layer may use a part."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from ghn.graph.read import operators
from ghn.graph.read.flow import Flow, join
from ghn.graph.record.op_graph import Operation, Value


@dataclass(frozen=True, slots=True)
class Pieces:
    """Parameters that stand side by side along an axis of a tensor: stacked, concatenated, or all in one vector.

    A layer that uses a part of the tensor uses the parameters that lie in this part, and no others.

    Attributes:
        axis: The axis.
        parts: Provenance of each, in order.
        ends: Where each ends along the axis.
        flow: Provenance of all together.
    """

    axis: int
    parts: tuple[Flow, ...]
    ends: tuple[int, ...]
    flow: Flow

    @classmethod
    def of(cls, axis: int, parts: Sequence[tuple[int, Flow]]) -> Pieces:
        """Pieces of these sizes along an axis, and of this provenance."""
        flows = tuple(flow for _, flow in parts)
        ends = tuple(accumulate(size for size, _ in parts))
        return cls(axis, flows, ends, flows[0] if len(flows) == 1 else join(flows))

    def _sized(self) -> Iterator[tuple[int, Flow]]:
        starts = (0, *self.ends[:-1])
        return ((end - start, flow) for start, end, flow in zip(starts, self.ends, self.parts, strict=True))

    @classmethod
    def joined(
        cls, operation: Operation, values: Sequence[Value], flow_of: Callable[[int], Flow], known: Mapping[int, Pieces]
    ) -> Pieces | None:
        """What a concatenation of values that depend on no data consists of; None for any other.

        Args:
            operation: `cat` or `stack`.
            values: All values of the record.
            flow_of: Gives their provenance.
            known: Values that consist of such pieces themselves.
        """
        inputs, rank = operation.inputs, len(values[operation.outputs[0]].shape)
        own = [flow_of(value) for value in inputs]
        if not rank or any(flow.runs for flow in own) or not any(flow.leaves for flow in own):
            return None
        axis = int(operation.argument(1, "dim", 0)) % rank
        parts: list[tuple[int, Flow]] = []
        for value, flow in zip(inputs, own, strict=True):
            shape, inner = values[value].shape, known.get(value)
            if operation.name == "stack":
                parts.append((1, flow))
            elif inner is not None and inner.axis == axis:
                parts.extend(inner._sized())
            elif axis < len(shape):
                # An empty vector may be concatenated with anything.
                parts.append((shape[axis], flow))
        return cls.of(axis, parts)

    def taken(self, operation: Operation, values: Sequence[Value]) -> Iterator[Pieces]:
        """What stands in each output of a view or an elementwise operation; nothing where that is not followed.

        Args:
            operation: Its first input is the tensor.
            values: All values of the record.
        """
        shape = values[operation.inputs[0]].shape
        if operation.name in operators.COPIES or operation.name == "expand":
            yield self._moved(self.axis + len(values[operation.outputs[0]].shape) - len(shape))
        elif operation.name in ("t", "transpose", "permute"):
            yield self._moved(_order(operation, len(shape)).index(self.axis))
        elif operation.name == "unsqueeze":
            yield self._moved(self.axis + (operation.args[1] % (len(shape) + 1) <= self.axis))
        elif operation.name in ("select", "slice", "split", "split_with_sizes", "unbind"):
            yield from self._cut(operation, shape)

    def _moved(self, axis: int) -> Pieces:
        return replace(self, axis=axis)

    def _cut(self, operation: Operation, shape: Sequence[int]) -> Iterator[Pieces]:
        split = operation.name in ("split", "split_with_sizes")
        axis = operation.argument(2 if split else 1, "dim", 0) % len(shape)
        dropped = operation.name in ("select", "unbind")
        if axis != self.axis:
            yield from [self._moved(self.axis - (dropped and axis < self.axis))] * len(operation.outputs)
            return
        for start, stop in _bounds(operation, shape[axis]):
            yield self._between(start, stop)

    def _between(self, start: int, stop: int) -> Pieces:
        found: list[tuple[int, Flow]] = []
        for index in range(bisect_right(self.ends, start), len(self.ends)):
            before = self.ends[index - 1] if index else 0
            common = min(self.ends[index], stop) - max(before, start)
            if common <= 0 and before >= stop:
                break
            if common > 0:
                found.append((common, self.parts[index]))
        return Pieces.of(self.axis, found)


def _order(operation: Operation, rank: int) -> list[int]:
    """Which axis of its input each axis of a transposed tensor is."""
    if operation.name == "permute":
        return [axis % rank for axis in operation.args[1]]
    order = list(range(rank))
    first, second = (0, rank - 1) if operation.name == "t" else (axis % rank for axis in operation.args[1:3])
    order[first], order[second] = order[second], order[first]
    return order


def _bounds(operation: Operation, size: int) -> Iterator[tuple[int, int]]:
    """Where the outputs of an operation begin and end along the axis that it cuts."""
    if operation.name == "select":
        index = operation.args[2] % size
        yield index, index + 1
    elif operation.name == "slice":
        start, stop, _ = slice(operation.argument(2, "start"), operation.argument(3, "end")).indices(size)
        yield start, stop
    else:
        step = 1 if operation.name == "unbind" else operation.args[1]
        at = 0
        for length in [step] * len(operation.outputs) if isinstance(step, int) else step:
            yield at, at + length
            at += length
