"""How values are put back that a forward pass may change, one kind each."""

from __future__ import annotations

import array
import collections
import contextlib
import functools
import io
import operator
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

Undo = Callable[[], None]

MISSING = object()
"""In the place of what is not there."""


def items_of(values: dict[Any, Any]) -> dict[Any, Any]:
    """What a dict holds, in its order, past methods of its class, which may make something else of it when asked."""
    base = collections.OrderedDict if isinstance(values, collections.OrderedDict) else dict
    return dict(base.items(values))


def put_dict_back(values: dict[Any, Any], saved: Mapping[Any, Any]) -> None:
    """Give a dict the items that it had, in their order; nothing is written if they are the same objects."""
    base = collections.OrderedDict if isinstance(values, collections.OrderedDict) else dict
    if len(values) == len(saved) and (
        not saved
        or (
            all(map(operator.is_, base.values(values), saved.values()))
            and all(map(operator.is_, base.keys(values), saved))
        )
    ):
        return
    base.clear(values)
    for key, value in saved.items():
        base.__setitem__(values, key, value)


def put_list_back(items: list[Any], saved: list[Any]) -> None:
    """Give a list the items that it had."""
    if list.__len__(items) != len(saved) or not all(map(operator.is_, list.__iter__(items), saved)):
        list.__setitem__(items, slice(None), saved)


def saved_class(module: nn.Module) -> Undo:
    """A lazy module becomes one of another class when it runs."""
    kind = type(module)

    def restore() -> None:
        if type(module) is not kind:
            module.__class__ = kind  # type: ignore[assignment]

    return restore


def saved_mode(module: nn.Module) -> Undo:
    """A scripted module keeps its mode elsewhere than in attributes."""
    training = module.training

    def restore() -> None:
        if module.training != training:
            module.training = training

    return restore


def put_slot_back(value: Any, member: Any, held: Any) -> None:
    """Set a slot of an object to what it held."""
    if held is not MISSING:
        member.__set__(value, held)
        return
    with contextlib.suppress(AttributeError):
        member.__delete__(value)


def put_attributes_back(kind: type, saved: Mapping[str, Any]) -> None:
    """Set the attributes of a class that are values to what they were."""
    for name in [name for name in vars(kind) if not name.startswith("__")]:
        if name not in saved:
            type.__delattr__(kind, name)
    for name, value in saved.items():
        if vars(kind).get(name, MISSING) is not value:
            type.__setattr__(kind, name, value)


def put_names_back(scope: dict[str, Any], saved: Mapping[str, Any], *, every: bool = False) -> None:
    """Set global variables to what they were, and remove those that were missing.

    Args:
        scope: The variables.
        saved: What they were; others are left alone.
        every: Whether there were no others, so that they are removed.
    """
    for name, held in saved.items():
        if held is MISSING:
            scope.pop(name, None)
        elif scope.get(name, MISSING) is not held:
            scope[name] = held
    if every:
        for name in [name for name in scope if name not in saved]:
            del scope[name]


def saved_cache(cached: Any) -> Undo:
    """What a run put into a function's cache is forgotten with all else in it; it is computed again when needed."""
    before = cached.cache_info().misses

    def forget() -> None:
        if cached.cache_info().misses != before:
            cached.cache_clear()

    return forget


def _set(values: set[Any]) -> Undo:
    before = set(values)

    def restore() -> None:
        if len(values) != len(before) or not all(item in values for item in before):
            set.clear(values)
            set.update(values, before)

    return restore


def _deque(values: collections.deque[Any]) -> Undo:
    before = list(values)

    def restore() -> None:
        values.clear()
        values.extend(before)

    return restore


def _numbers(values: array.array[Any]) -> Undo:
    before = values[:]

    def restore() -> None:
        if values != before:
            values[:] = before

    return restore


def _stream(stream: io.BytesIO | io.StringIO) -> Undo:
    if stream.closed:
        return lambda: None
    before, place = stream.getvalue(), stream.tell()

    def restore() -> None:
        stream.seek(0)
        stream.truncate()
        stream.write(before)  # type: ignore[arg-type]
        stream.seek(place)

    return restore


def _bytes(values: bytearray) -> Undo:
    before = bytes(values)

    def restore() -> None:
        if values != before:
            values[:] = before

    return restore


def _array(values: np.ndarray) -> Undo:
    if not values.flags.writeable:
        return lambda: None
    return functools.partial(np.copyto, values, values.copy())


def _random(source: random.Random) -> Undo:
    return functools.partial(source.setstate, source.getstate())


def _random_state(source: np.random.RandomState) -> Undo:
    return functools.partial(source.set_state, source.get_state())


def _numpy_generator(source: np.random.Generator) -> Undo:
    return functools.partial(setattr, source.bit_generator, "state", source.bit_generator.state)


def _generator(source: torch.Generator) -> Undo:
    before = source.get_state()

    def restore() -> None:
        source.set_state(before)

    return restore


KINDS: Mapping[type, Callable[[Any], Undo]] = {
    set: _set,
    collections.deque: _deque,
    bytearray: _bytes,
    array.array: _numbers,
    io.BytesIO: _stream,
    io.StringIO: _stream,
    np.ndarray: _array,
    random.Random: _random,
    np.random.RandomState: _random_state,
    np.random.Generator: _numpy_generator,
    torch.Generator: _generator,
}
"""Kinds of values, each with what saves one and returns how to put it back."""
