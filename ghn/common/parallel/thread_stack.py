"""What each thread is in the middle of, the innermost last."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ThreadStack(threading.local, Generic[Item]):
    """A stack of its own for each thread."""

    def __init__(self) -> None:
        self._items: list[Item | None] = []

    @property
    def current(self) -> Item | None:
        """The innermost; None where this thread is in the middle of nothing."""
        return self._items[-1] if self._items else None

    def push(self, item: Item | None) -> None:
        """Begin something; None is nothing, within whatever there is."""
        self._items.append(item)

    def pop(self) -> None:
        """End the innermost."""
        self._items.pop()

    @property
    def level(self) -> int:
        """How many things this thread is in the middle of."""
        return len(self._items)

    def back_to(self, level: int) -> None:
        """End what began since there were `level`: it may have been interrupted before it ended."""
        del self._items[level:]

    @contextlib.contextmanager
    def within(self, item: Item | None) -> Iterator[None]:
        """Context in which `item` is the innermost."""
        level = self.level
        self.push(item)
        try:
            yield
        finally:
            self.back_to(level)
