"""Where the weights of layers come from: which values are on their way from parameters, or from parameters and data.

A weight that is computed from parameters alone (standardised, normalised, low-rank) must not have its own computation
taken for layers. One that is computed from parameters and data is a mixture of kernels (CondConv, Yang et al.,
NeurIPS 2019; dynamic convolution, Chen et al., CVPR 2020) or a modulated kernel (StyleGAN2, Karras et al., CVPR 2020):
what data mixes are kernels, not the weight of a linear layer from routing weights to kernels.
"""

from __future__ import annotations

from collections.abc import Iterator

from ghn.graph.read import operators
from ghn.graph.read.layout import merged_axes
from ghn.graph.record.op_graph import Operation, OpGraph

RESHAPES = {"view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze", "flatten", "unflatten"}


class WeightSides:
    """Values of a record from which weights of layers are computed.

    Attributes:
        fixed: Those that depend on parameters alone.
        mixed: Those that depend on data too and end as weights or biases of convolutions.
    """

    def __init__(self, record: OpGraph) -> None:
        self._record = record
        self._producer: dict[int, Operation] = {}
        self._free = [True] * len(record.values)
        for value in record.inputs:
            self._free[value] = False
        for operation in record.operations:
            running = operation.name not in operators.SHAPE_ONLY
            running = running and any(not self._free[value] for value in operation.inputs)
            for output in operation.outputs:
                self._producer[output] = operation
                self._free[output] = not running
        self.fixed = self._fixed()
        self.mixed = self._mixed()

    def _fixed(self) -> set[int]:
        used = list(self._used_as_weights())
        pending = [value for _, value in used]
        layers = {self._viewed(value) for operation, value in used if self._runs(operation)}
        pending.extend(self._computed_with(layers))
        marked: set[int] = set()
        while pending:
            value = pending.pop()
            if value not in marked:
                marked.add(value)
                if value in self._producer:
                    pending.extend(self._producer[value].inputs)
        return marked

    def _runs(self, operation: Operation) -> bool:
        return any(not self._free[value] for value in operation.outputs)

    def _used_as_weights(self) -> Iterator[tuple[Operation, int]]:
        """Values that depend on parameters alone, and operations that multiply or convolve others with them."""
        for operation in self._record.operations:
            inputs = operation.inputs
            if operation.name in operators.CONVOLUTIONS or operation.name == "linear":
                candidates = inputs[1:2]
            elif operation.name in ("mm", "matmul"):
                candidates = inputs[1:2] if self._free[inputs[1]] else inputs[:2]
            elif operation.name == "addmm":
                candidates = inputs[2:3] if self._free[inputs[2]] else inputs[1:3]
            else:
                continue
            yield from ((operation, value) for value in candidates if self._free[value])

    def _computed_with(self, weights: set[int]) -> Iterator[int]:
        """Values that are computed of layers' weights and of other values that depend on parameters alone.

        The norm of a weight with its low-rank update (DoRA, Liu et al., ICML 2024) scales features, and a penalty on
        weights is returned; neither is itself the weight of a layer.
        """
        parameters = weights & {*self._record.parameters.values()}
        for operation in self._record.operations:
            if len(operation.inputs) < 2 or not operation.outputs or not self._free[operation.outputs[0]]:
                continue
            own = [self._viewed(value) in parameters for value in operation.inputs]
            if all(own) if operation.name in operators.LAYERS else any(own):
                yield operation.outputs[0]

    def _viewed(self, value: int) -> int:
        """What a value is a view or copy of."""
        while value in self._producer and self._producer[value].name in operators.VIEWS:
            if not self._producer[value].inputs:
                break
            value = self._producer[value].inputs[0]
        return value

    def is_drawn(self, value: int) -> bool:
        """Whether random numbers made a value, alone or with others."""
        pending, met = [value], {value}
        while pending:
            operation = self._producer.get(pending.pop())
            if operation is not None:
                if operation.draws:
                    return True
                pending.extend({*operation.inputs} - met)
                met.update(operation.inputs)
        return False

    def _mixed(self) -> set[int]:
        pending = [
            value
            for operation in self._record.operations
            if operation.name in operators.CONVOLUTIONS and not self._free[operation.inputs[1]]
            for value in operation.inputs[1:3]
        ]
        marked: set[int] = set()
        while pending:
            value = pending.pop()
            if value not in marked and not self._free[value] and value in self._producer:
                marked.add(value)
                if self._producer[value].name in operators.MIXING:
                    pending.extend(self._producer[value].inputs)
        return marked

    def factors(self, index: int, axis: int, storage: int) -> list[tuple[int, int]]:
        """Sizes and strides, in the memory `storage`, that make up an axis of a value that may be a copy of it.

        A product sums over several axes by merging them, which takes a copy where they do not stand side by side.
        None are found where the value was computed, or seen in ways that are not followed.
        """
        while True:
            value = self._record.values[index]
            if value.storage == storage:
                return [(value.shape[axis], value.stride[axis])]
            operation = self._producer.get(index)
            if operation is None or not operation.inputs:
                return []
            before = operation.inputs[0]
            shape = self._record.values[before].shape
            parts = self._axes_before(operation, axis, value.shape, shape)
            if len(parts) != 1:
                # Each is at most half as long, so that this nests a few times only.
                found = [self.factors(before, part, storage) for part in parts]
                return [factor for factors in found for factor in factors] if all(found) else []
            index, axis = before, parts[0]

    @staticmethod
    def _axes_before(operation: Operation, axis: int, shape: tuple[int, ...], before: tuple[int, ...]) -> list[int]:
        """The axes of an operation's input, of shape `before`, that an axis of its output is made of."""
        if operation.name in operators.COPIES:
            return [axis]
        if operation.name == "permute":
            return [operation.args[1][axis] % len(before)]
        if operation.name in ("t", "transpose"):
            first, second = (0, 1) if operation.name == "t" else (at % len(before) for at in operation.args[1:3])
            return [{first: second, second: first}.get(axis, axis)]
        merged = merged_axes(shape, before, axis) if operation.name in RESHAPES else None
        return [part for part in merged or () if before[part] > 1]
