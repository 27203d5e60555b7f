"""What one forward pass did: every operator call, with the tensors that went in and came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

WRITE = "write"
"""Name of the operation that the recorder inserts where a tensor shares memory with one that was written to."""

GRADIENT = "gradient"
"""Name of operators that differentiation calls, which compute from what is differentiated whatever they return.

Of those with two arguments the first is the gradient by the second.
"""

BRANCHES = "branches"
"""Name of the operation that is one or the other of two tensors, whichever its first argument says."""

FLEX_ATTENTION = "flex_attention"
"""Name of attention whose scores a function modifies: of queries, keys, values and one of the modified scores."""


OUTSIDE = "code outside PyTorch"
"""Name of the operation that stands for what NumPy and others may have made of features that were handed to them."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for a tensor among the arguments of an operation."""

    value: int


@dataclass(slots=True)
class Value:
    """A tensor at one moment: writing to it in place makes a new value.

    Attributes:
        shape: Its sizes.
        stride: Its strides, in elements.
        dtype: Its element type.
        storage: Number of the memory that it lives in, shared by all views of one tensor.
        offset: Index of its first element in that memory.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    storage: int
    offset: int

    @property
    def numel(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def distinct(self) -> int:
        """Number of elements that are not repeated by expansion."""
        count = 1
        for size, step in zip(self.shape, self.stride, strict=True):
            count *= size if step else 1
        return count

    @property
    def carries(self) -> bool:
        """Whether features can flow in it: integers and masks select or count, they carry none."""
        return self.dtype.is_floating_point or self.dtype.is_complex


@dataclass(slots=True)
class Operation:
    """One call of an operator.

    Attributes:
        name: Operator without overload and without the trailing underscore of its in-place form, e.g. `add`;
            operators outside ATen keep their namespace, e.g. `torchvision.roi_align`.
        args: Positional arguments, tensors replaced by `Ref`.
        kwargs: Keyword arguments, likewise.
        inputs: Values that go in, in the order of the arguments.
        outputs: Values that come out.
        in_place: Whether the output is the first input, overwritten.
        draws: Whether it draws random numbers.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    in_place: bool = False
    draws: bool = False

    def argument(self, position: int, name: str = "", default: Any = None) -> Any:
        """The argument at a position or of a name, or the default where the call leaves it out."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)


@dataclass(slots=True)
class OpGraph:
    """A recorded forward pass.

    Attributes:
        values: Every tensor seen.
        operations: Calls in the order of execution.
        parameters: Value of each parameter, by the first of its names.
        inputs: Values that the caller handed in.
        outputs: Values that the model returned, the primary one first.
        decided_at: Number of operations before the first truth value that was guessed; None without any.
        out_of_sight: Whether a tensor without numbers appeared that no recorded operation made.
        left: Features whose numbers were handed to code outside PyTorch since numbers last came back.
        detours: Operations, `OUTSIDE`, that may have made tensors of numbers, each with the number of operations before
            it. Nobody saw that they did: they are none of `operations`.
    """

    values: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    decided_at: int | None = None
    out_of_sight: bool = False
    left: list[int] = field(default_factory=list)
    detours: list[tuple[int, Operation]] = field(default_factory=list)

    def leave(self, value: int) -> None:
        """Note that the numbers of a value are handed to code outside PyTorch."""
        if self.detours and set(self.detours[-1][1].inputs) == set(self.left):
            self.left.clear()
        self.left.append(value)

    def come_back(self, value: int) -> None:
        """Note that a value was made of numbers, which may be what became of those that left."""
        if self.left and self.values[value].carries:
            self.detours.append((len(self.operations), Operation(OUTSIDE, (), {}, tuple(self.left), (value,))))

    def with_detours(self) -> OpGraph:
        """The record as if numbers that came back had been made of those that had left."""
        operations: list[Operation] = []
        start = 0
        for before, detour in self.detours:
            operations += [*self.operations[start:before], detour]
            start = before
        return replace(self, operations=[*operations, *self.operations[start:]], detours=[])

    @property
    def parameters_used(self) -> int:
        """Number of parameters that some operation reads."""
        return self._parameters_used_by(len(self.operations))

    @property
    def rests_on_a_guess(self) -> bool:
        """Whether a parameter had yet to be used when a truth value was guessed: it may have changed the way on."""
        return self.decided_at is not None and self._parameters_used_by(self.decided_at) < len(self.parameters)

    def _parameters_used_by(self, count: int) -> int:
        """Number of parameters that the first operations read."""
        read = {value for operation in self.operations[:count] for value in operation.inputs}
        return len(read & {*self.parameters.values()})
