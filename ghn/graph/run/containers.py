"""Arguments of any type with other tensors in them: mappings with attributes, dataclasses, named tuples, batches."""

from __future__ import annotations

import contextlib
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import numpy as np
from torch import Tensor

from ghn.common.private_torch import is_wrapper, parts_of, with_parts

_CLOSED = (str, bytes, int, float, complex, type(None), type, Enum, types.ModuleType, types.FunctionType)
_CHANGEABLE = (list, dict, set, deque)
_CONTAINERS: tuple[type, ...] = (defaultdict, OrderedDict, dict, list, tuple, set, frozenset, deque)


def tensors_anywhere(tree: Any) -> Iterator[Tensor]:
    """Every tensor in an object or in what it holds, once, in order; those of a jagged one in its place."""
    seen: set[int] = set()
    for item in _reached(tree):
        if isinstance(item, Tensor):
            for part in parts_of(item):
                if id(part) not in seen:
                    seen.add(id(part))
                    yield part


def holds_data(tree: Any) -> bool:
    """Whether an object holds numbers, texts or arrays that are no tensors, at any depth."""
    kinds = (str, bytes, int, float, np.ndarray)
    return any(isinstance(item, kinds) and not isinstance(item, bool) for item in _reached(tree))


def with_tensors(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same object with `function` of each tensor in its place, called once for each.

    What holds a tensor, or something that a call could change, is copied, each object once: two arguments that were the
    same object are the same again. All else is handed on as it is.

    Args:
        tree: The object; left as it is.
        function: Makes the new tensor.
    """
    items = list(_reached(tree))
    memo: dict[int, Any] = {}
    parts: dict[int, Tensor] = {}
    holders = _holders(items)

    def once(part: Tensor) -> Tensor:
        # Jagged tensors fit together where they hold the very same lengths.
        if id(part) not in parts:
            parts[id(part)] = function(part)
        return parts[id(part)]

    for item in items:
        if isinstance(item, Tensor):
            memo[id(item)] = with_parts(item, once) if is_wrapper(type(item)) else function(item)
        elif id(item) not in holders:
            memo[id(item)] = item
    return _copy(tree, memo)


def _copy(item: Any, memo: dict[int, Any]) -> Any:
    """A copy made without the methods of its class, which may answer any question in a way of their own."""
    if id(item) in memo:
        return memo[id(item)]
    kind = type(item)
    base: Any = next((base for base in _CONTAINERS if isinstance(item, base)), object)
    if base in (tuple, frozenset):
        copied = base.__new__(kind, [_copy(held, memo) for held in item])
        memo[id(item)] = copied
    else:
        try:
            copied = memo[id(item)] = base.__new__(kind)
        except TypeError:
            # Made by a library that is not written in Python.
            memo[id(item)] = item
            return item
        _fill(base, copied, item, memo)
    for name, value in _attributes(item):
        object.__setattr__(copied, name, _copy(value, memo))
    return copied


def _fill(base: Any, copied: Any, item: Any, memo: dict[int, Any]) -> None:
    if base is defaultdict:
        copied.default_factory = item.default_factory
    if issubclass(base, dict):
        for key, value in dict.items(item):
            base.__setitem__(copied, key, _copy(value, memo))
    elif base is deque:
        deque.__init__(copied, [_copy(held, memo) for held in item], item.maxlen)
    elif base is not object:
        base.__init__(copied, [_copy(held, memo) for held in base.__iter__(item)])


def _reached(tree: Any) -> Iterator[Any]:
    """An object and all that it holds, each once, in order."""
    seen: dict[int, Any] = {}  # held, so that identities stay theirs
    pending = [tree]
    while pending:
        item = pending.pop()
        if id(item) not in seen:
            seen[id(item)] = item
            yield item
            pending.extend(reversed(_held(item)))


def _held(item: Any) -> list[Any]:
    """What an object holds directly."""
    if isinstance(item, (Tensor, *_CLOSED)):
        return []
    held: list[Any] = []
    if isinstance(item, dict):
        held.extend(dict.values(item))
    elif isinstance(item, (list, tuple, set, frozenset, deque)):
        held.extend(item)
    return [*held, *(value for _, value in _attributes(item))]


def _attributes(item: Any) -> Iterator[tuple[str, Any]]:
    """What an object has of its own, by name."""
    with contextlib.suppress(AttributeError):
        yield from list(object.__getattribute__(item, "__dict__").items())
    for kind in type(item).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in [names] if isinstance(names, str) else names:
            if name.startswith("__"):
                # Those of a class have its name before theirs; two are Python's own.
                name = name if name.endswith("__") else f"_{kind.__name__.lstrip('_')}{name}"
            try:
                if name not in ("__dict__", "__weakref__"):
                    yield name, object.__getattribute__(item, name)
            except AttributeError:
                continue


def _holders(items: list[Any]) -> set[int]:
    """Those objects that hold, at any depth, a tensor or what a call could change."""
    holders = {id(item) for item in items if isinstance(item, (Tensor, *_CHANGEABLE))}
    by: dict[int, list[int]] = {}
    for item in items:
        for held in _held(item):
            by.setdefault(id(held), []).append(id(item))
    pending = list(holders)
    while pending:
        for holder in by.get(pending.pop(), ()):
            if holder not in holders:
                holders.add(holder)
                pending.append(holder)
    return holders
