"""Sets that grow by one element thousands of times and are looked into once.

A union of large sets keeps these, and gathers their elements when it is first asked for them. So n unions, each of the
one before and one element more, take as much memory as n elements.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Set
from typing import Any, TypeVar

Element = TypeVar("Element", bound=Hashable)

FEW = 32
"""Sets of so many elements together are merged at once."""


class Union(Set[Element]):
    """The elements of several sets, in the order in which they are first met. Immutable.

    Args:
        parts: Two or more collections that are not empty, of elements that can be compared.
    """

    __slots__ = ("_high", "_items", "_low", "_parts")

    def __init__(self, parts: Iterable[Collection[Element]]) -> None:
        self._parts: tuple[Collection[Element], ...] = tuple(parts)
        self._items: dict[Element, None] | None = None
        ranges: list[Any] = [bounds(part) for part in self._parts]
        self._low = min(low for low, _ in ranges)
        self._high = max(high for _, high in ranges)

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._gathered())

    def __iter__(self) -> Iterator[Element]:
        return iter(self._gathered())

    def __hash__(self) -> int:
        return self._hash()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Set) or not other or bounds(other) != (self._low, self._high):
            return False
        return self._gathered().keys() == set(other)

    def __contains__(self, element: Any) -> bool:
        """Whether it holds an element: sets whose range does not are left alone."""
        met: set[int] = set()
        pending: list[Collection[Element]] = [self]
        while pending:
            part = pending.pop()
            if type(part) is not Union:
                if element in part:
                    return True
            elif part._items is not None:
                if element in part._items:
                    return True
            elif part._low <= element <= part._high and id(part) not in met:
                met.add(id(part))
                pending.extend(part._parts)
        return False

    def _gathered(self) -> dict[Element, None]:
        if self._items is None:
            items: dict[Element, None] = {}
            met: set[int] = set()
            pending: list[Collection[Element]] = [self]
            while pending:
                part = pending.pop()
                if id(part) in met:
                    continue
                met.add(id(part))
                if type(part) is Union and part._items is None:
                    pending.extend(reversed(part._parts))
                else:
                    items.update(dict.fromkeys(part))
            self._items, self._parts = items, ()
        return self._items


def bounds(elements: Collection[Any]) -> tuple[Any, Any]:
    """The least and the greatest of some elements, which takes no look into a union; 0 and 0 without any."""
    if not elements:
        return 0, 0
    if type(elements) is Union:
        return elements._low, elements._high
    return min(elements), max(elements)


def union(
    sets: Iterable[Collection[Element]], merged: Callable[[Iterable[Element]], Collection[Element]]
) -> Collection[Element]:
    """All elements of some sets.

    Args:
        sets: Unions, or collections as `merged` makes them.
        merged: Makes a collection of elements of small sets, `frozenset` or `ordered`.

    Returns:
        One of the sets where it is the only one with elements.
    """
    parts = [part for part in sets if part]
    if len(parts) > 1:
        parts = [*{id(part): part for part in parts}.values()]
    if len(parts) == 1:
        return parts[0]
    if all([type(part) is not Union for part in parts]):
        count = sum(map(len, parts))
        if count <= FEW or count <= 2 * len(parts):
            return merged(element for part in parts for element in part)
    return Union(parts)


def ordered(elements: Iterable[Element]) -> tuple[Element, ...]:
    """Each element once, in the order in which they are first met."""
    return tuple(dict.fromkeys(elements))


def is_one(elements: Collection[Any]) -> bool:
    """Whether there is exactly one element, which takes no look into a union."""
    low, high = bounds(elements)
    return bool(elements) and bool(low == high)
