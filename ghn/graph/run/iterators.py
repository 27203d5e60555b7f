"""Iterators that a forward pass can use up while the user's own stay where they are.

What cannot be copied is used up, and gives again what it gave. A generator that has started also goes on as it was
sent values, which is all that can be done for it: no code runs backwards.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
import inspect
import itertools
import types
from collections.abc import Generator, Iterator
from typing import Any

from torch import Tensor

from ghn.graph.run.containers import tensors_anywhere

_COPIED: tuple[type, ...] = (
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter("")),
    itertools.count,
    itertools.repeat,
)
_MODULES = ("builtins", "itertools", "_collections", "_csv", "_struct", "_elementtree")


def is_iterator(kind: type) -> bool:
    """Whether values of a kind are Python's or NumPy's own iterators, which can be used up, but not set back."""
    name = kind.__module__
    return (name in _MODULES or name.partition(".")[0] == "numpy") and hasattr(kind, "__next__")


def independent(iterator: Any) -> Any:
    """An iterator that gives what this one will give: a copy, or else one that notes what it takes."""
    if isinstance(iterator, types.GeneratorType):
        return _fresh(iterator) if inspect.getgeneratorstate(iterator) == inspect.GEN_CREATED else Replayed(iterator)
    # Newer Pythons copy fewer of them.
    with contextlib.suppress(TypeError):
        if type(iterator) in _COPIED:
            return copy.copy(iterator)
    return Replayed(iterator)


def _fresh(generator: types.GeneratorType[Any, Any, Any]) -> Any:
    """A generator that has yet to start, made again from its code and arguments."""
    code, frame = generator.gi_code, generator.gi_frame
    assert frame is not None
    held = dict(frame.f_locals)
    closure = tuple(types.CellType(held[name]) for name in code.co_freevars)
    function = types.FunctionType(code, frame.f_globals, generator.__name__, None, closure or None)
    names = list(code.co_varnames)
    positional, keywords = names[: code.co_argcount], names[code.co_argcount :][: code.co_kwonlyargcount]
    rest = names[code.co_argcount + code.co_kwonlyargcount :]
    arguments = [independent(held[name]) if is_iterator(type(held[name])) else held[name] for name in positional]
    more = held[rest.pop(0)] if code.co_flags & inspect.CO_VARARGS else ()
    named = held[rest.pop(0)] if code.co_flags & inspect.CO_VARKEYWORDS else {}
    return function(*arguments, *more, **{name: held[name] for name in keywords}, **named)


def _attribute_of_iterator(held: Any, name: str) -> Any:
    # A copy is asked before it holds anything.
    if name.startswith("__") or name == "iterator":
        raise AttributeError(name)
    return getattr(held.iterator, name)


class Replayed:
    """An iterator that notes what it takes from another one, so that it can be given again."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.taken: list[tuple[Any, Any]] = []
        self._again: Iterator[Any] | None = None

    def __iter__(self) -> Replayed:
        return self

    def __next__(self) -> Any:
        item = next(self.iterator)
        self.taken.append((None, item))
        return item

    __getattr__ = _attribute_of_iterator

    def send(self, value: Any) -> Any:
        """What a generator answers to a value, which it keeps.

        Raises:
            ValueError: If the value has a tensor, which would be one without numbers.
        """
        generator: Any = self.iterator
        send = generator.send
        if any(True for _ in tensors_anywhere((value,))):
            raise ValueError(
                f"it sends a tensor to the generator {generator.__name__}, which has started and cannot be set back; "
                "let the forward pass start it"
            )
        item = send(value)
        self.taken.append((value, item))
        return item

    def again(self) -> Iterator[Any]:
        """What the other iterator would give had nothing been taken; one iterator for all who held that."""
        own = self.iterator
        if self._again is None and isinstance(own, types.GeneratorType):
            going_on: Any = _going_on(own, self.taken)
            going_on.__name__, going_on.__qualname__ = own.__name__, own.__qualname__
            next(going_on)
            self._again = going_on
        elif self._again is None:
            self._again = _Again(collections.deque(item for _, item in self.taken), own)
        return self._again


class _Again:
    """An iterator that gives what was taken from another one, and goes on as that one, whose attributes it has."""

    def __init__(self, taken: collections.deque[Any], iterator: Iterator[Any]) -> None:
        self.taken, self.iterator = taken, iterator

    def __iter__(self) -> _Again:
        return self

    def __next__(self) -> Any:
        return self.taken.popleft() if self.taken else next(self.iterator)

    __getattr__ = _attribute_of_iterator


def _going_on(generator: Generator[Any, Any, Any], taken: list[tuple[Any, Any]]) -> Generator[Any, Any, Any]:
    """A generator that gives what was taken from another one while it is sent the same, and goes on as that one."""
    waiting = collections.deque(taken)
    item = None
    while True:
        try:
            value = yield item
            step = functools.partial(generator.send, value)
            if waiting:
                sent, item = waiting.popleft()
                if sent is value or (not isinstance(value, Tensor) and sent == value):
                    continue
        except GeneratorExit:
            generator.close()
            raise
        except BaseException as error:
            step = functools.partial(generator.throw, error)
        waiting.clear()
        try:
            item = step()
        except StopIteration as end:
            return end.value
