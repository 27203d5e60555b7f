"""Iterators that a forward pass can use up while the user's own stay where they are."""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import types
from collections.abc import Iterator
from typing import Any

_COPIED: tuple[type, ...] = (
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter("")),
    itertools.count,
    itertools.repeat,
)
_MODULES = ("builtins", "itertools")


def is_iterator(kind: type) -> bool:
    """Whether values of a kind are Python's own iterators, which can be used up, but not set back."""
    return kind.__module__ in _MODULES and hasattr(kind, "__next__")


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


class Replayed:
    """An iterator that notes what it takes from another one, so that it can be given again."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.taken: list[Any] = []
        self._again: Iterator[Any] | None = None

    def __iter__(self) -> Replayed:
        return self

    def __next__(self) -> Any:
        item = next(self.iterator)
        self.taken.append(item)
        return item

    def again(self) -> Iterator[Any]:
        """What the other iterator would give had nothing been taken; one iterator for all who held that."""
        if self._again is None:
            self._again = itertools.chain(self.taken, self.iterator)
        return self._again
