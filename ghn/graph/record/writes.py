"""Writes to one piece of memory, and which of them a view of it can see.

A thousand views of one tensor that are changed in place are a million pairs: those of equal strides, which nearly all
are, are compared at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghn.graph.record.op_graph import Value

FEW = 16
"""So many writes are compared one by one."""


class Writes:
    """The values that were written to one piece of memory, in order.

    Args:
        forgetting: Whether what is written over at the very same place is gone, because nobody reads as of before.
    """

    def __init__(self, *, forgetting: bool = False) -> None:
        self._forgetting = forgetting
        self._numbers: list[int] = []
        self._values: list[Value] = []
        self._by_stride: dict[tuple[int, ...], _Alike] = {}
        self._last: dict[tuple[int, tuple[int, ...], tuple[int, ...]], int] = {}
        self._gone: set[int] = set()

    def __len__(self) -> int:
        return len(self._numbers)

    def append(self, number: int, value: Value) -> None:
        """Add a write."""
        alike = self._by_stride.get(value.stride)
        if alike is None:
            alike = self._by_stride[value.stride] = _Alike(value.stride)
        alike.append(len(self._numbers), value)
        place = value.offset, value.shape, value.stride
        before = self._last.get(place)
        if before is not None and self._forgetting:
            self._gone.add(before)
        self._last[place] = len(self._numbers)
        self._numbers.append(number)
        self._values.append(value)

    def seen_by(self, number: int, value: Value, since: int) -> list[int]:
        """Numbers of the writes after the first `since` that reach elements of a value, other than itself."""
        if len(self._numbers) - since <= FEW:
            new = range(since, len(self._numbers))
            positions = [at for at in new if overlap(value, self._values[at])]
        else:
            found = [alike.overlapping(value, since) for alike in self._by_stride.values()]
            positions = np.sort(np.concatenate(found)).tolist()
        return [self._numbers[at] for at in positions if at not in self._gone and self._numbers[at] != number]


class _Alike:
    """Writes of equal strides, as arrays that grow."""

    def __init__(self, stride: tuple[int, ...]) -> None:
        self._stride = stride
        self._count = 0
        # Position, offset, extent, whether axes are nested, shape.
        self._rows = np.empty((FEW, 4 + len(stride)), dtype=np.int64)

    def append(self, position: int, value: Value) -> None:
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._count] = (position, value.offset, _extent(value), _is_nested(value), *value.shape)
        self._count += 1

    def overlapping(self, value: Value, since: int) -> NDArray[np.int64]:
        """Positions of those from position `since` on that overlap with a value (see `overlap`)."""
        rows = self._rows[: self._count]
        rows = rows[np.searchsorted(rows[:, 0], since) :]
        gaps = rows[:, 1] - value.offset
        rows = rows[np.where(gaps < 0, -gaps <= rows[:, 2], gaps <= _extent(value))]
        if value.stride == self._stride and _is_nested(value):
            sizes = list(zip(value.shape, rows[:, 4:].T, strict=True))
            exact = _share(rows[:, 1] - value.offset, self._stride, sizes, _slowest_first(self._stride))
            rows = rows[exact | (rows[:, 3] == 0)]
        return rows[:, 0]


def overlap(first: Value, second: Value) -> bool:
    """Whether two views of one memory can share an element (exact for equal strides, else by their extents)."""
    gap = second.offset - first.offset
    if not (-gap <= _extent(second) if gap < 0 else gap <= _extent(first)):
        return False
    if first.stride != second.stride or not (_is_nested(first) and _is_nested(second)):
        return True
    sizes = list(zip(first.shape, second.shape, strict=True))
    return bool(_share(gap, first.stride, sizes, _slowest_first(first.stride)))


def _share(gap: Any, stride: tuple[int, ...], sizes: Sequence[tuple[Any, Any]], axes: list[int]) -> Any:
    """Whether two boxes of equal strides meet, the second of which begins `gap` after the first.

    The gap must be a sum of steps of the first minus steps of the second. Along the slowest axis these are as many as
    fit into it or one more, which faster axes take back. Numbers or arrays.
    """
    if not axes:
        return gap == 0
    axis, *faster = axes
    first, second = sizes[axis]
    fitting = gap // stride[axis]
    meet: Any = False
    for steps in (fitting, fitting + 1):
        allowed = (steps < first) & (-steps < second)
        meet = meet | (allowed & _share(gap - steps * stride[axis], stride, sizes, faster))
    return meet


def _slowest_first(stride: tuple[int, ...]) -> list[int]:
    return sorted(range(len(stride)), key=lambda axis: -stride[axis])


def _is_nested(value: Value) -> bool:
    """Whether all elements along faster axes lie within one step of any slower one, as in every part of a tensor."""
    extent = 0
    for axis in reversed(_slowest_first(value.stride)):
        if extent >= value.stride[axis]:
            return False
        extent += (value.shape[axis] - 1) * value.stride[axis]
    return True


def _extent(value: Value) -> int:
    return sum((size - 1) * step for size, step in zip(value.shape, value.stride, strict=True))
