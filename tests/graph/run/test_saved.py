"""Kinds of values are put back, and those that did not change are not written to."""

import array
import collections
import io
import random
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ghn.graph.run import saved
from ghn.graph.trace import trace
from tests.graph.run.test_reach import Way, X, plain


class Watched(dict):  # type: ignore[type-arg]
    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError("written to")

    def clear(self) -> None:
        raise AssertionError("cleared")


def test_a_dict_keeps_its_order_and_its_own_methods_are_not_called() -> None:
    values = Watched(a=1, b=[2])
    before = dict(values)
    saved.put_dict_back(values, before)
    dict.pop(values, "a")
    dict.update(values, c=3, a=1)
    saved.put_dict_back(values, before)
    assert list(values.items()) == [("a", 1), ("b", [2])]


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict, lambda **items: collections.defaultdict(list, items)])
def test_dicts_of_all_kinds(kind: Any) -> None:
    values = kind(a=1, b=2)
    before = dict(values)
    values["c"] = values.pop("a")
    saved.put_dict_back(values, before)
    assert list(values.items()) == [("a", 1), ("b", 2)]
    values.clear()
    saved.put_dict_back(values, before)
    assert list(reversed(values)) == ["b", "a"]


def test_equal_is_not_the_same() -> None:
    first, second = [1], [1]
    values, items = {"a": second}, [second]
    saved.put_dict_back(values, {"a": first})
    saved.put_list_back(items, [first])
    assert values["a"] is items[0] is first


CHANGES: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "set": ({1, "a"}, lambda v: (v.discard(1), v.add(2)), set),
    "deque": (collections.deque([1, 2], 2), lambda v: v.append(3), list),
    "bytes": (bytearray(b"ab"), lambda v: v.extend(b"c"), bytes),
    "array": (np.arange(4.0), lambda v: v.__imul__(2), lambda v: v.tolist()),
    "random": (random.Random(1), lambda v: v.random(), lambda v: v.getstate()),
    "numpy's old": (np.random.RandomState(1), lambda v: v.rand(), lambda v: repr(v.get_state())),
    "numpy's": (np.random.default_rng(1), lambda v: v.random(), lambda v: str(v.bit_generator.state)),
    "torch's": (torch.Generator(), lambda v: torch.rand(1, generator=v), lambda v: v.get_state().tolist()),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_kinds(kind: str) -> None:
    value, change, state = CHANGES[kind]
    undo = next(save for base, save in saved.KINDS.items() if isinstance(value, base))(value)
    before = state(value)
    change(value)
    assert state(value) != before
    undo()
    assert state(value) == before


def test_an_array_that_cannot_be_written_to() -> None:
    array = np.zeros(2)
    array.flags.writeable = False
    saved.KINDS[np.ndarray](array)()


def test_classes_modes_slots_attributes_globals_and_caches() -> None:
    import functools

    class Kind:
        __slots__ = ("slot",)
        number = 1

    class Module(nn.Module):
        pass

    module, value, scope = nn.Module(), Kind(), {"a": 1}
    undo = saved.saved_class(module)
    module.__class__ = Module
    undo()
    assert type(module) is nn.Module

    undo = saved.saved_mode(module)
    module.training = False
    undo()
    assert module.training

    member = vars(Kind)["slot"]
    value.slot = 1  # type: ignore[attr-defined]
    for held in (2, saved.MISSING, saved.MISSING):
        saved.put_slot_back(value, member, held)
        assert getattr(value, "slot", saved.MISSING) is held or held == 2

    before = dict(vars(Kind))
    Kind.number, Kind.more = 2, 3  # type: ignore[attr-defined]
    saved.put_attributes_back(Kind, before)
    assert (Kind.number, hasattr(Kind, "more")) == (1, False)

    saved.put_names_back(scope, {"a": 2, "b": saved.MISSING})
    assert scope == {"a": 2}
    saved.put_names_back(scope, {"a": saved.MISSING})
    assert not scope
    scope.update(a=1, b=2)
    saved.put_names_back(scope, {"a": 3}, every=True)
    assert scope == {"a": 3}

    @functools.lru_cache
    def cached(x: int) -> list[int]:
        return [x]

    kept = cached(1)
    undo = saved.saved_cache(cached)
    cached(1)
    undo()
    assert cached(1) is kept
    cached(2)
    undo()
    assert cached.cache_info().currsize == 0


def test_containers_behind_others_and_hooks_of_all_modules_are_as_before() -> None:
    def call(self: Any, x: Tensor) -> Tensor:
        self.proxy["features"].append(x)
        self.namespace["features"].append(x)
        self.behind["new"] = x
        self.weak.add(self.a)
        nn.modules.module.register_module_forward_pre_hook(lambda *_: None)
        next(self.items)
        return plain(self, x)

    def items(held: list[int]) -> Iterator[int]:
        held.append(1)
        yield 1

    class Namespace:
        features: list[Tensor] = []

    model: Any = Way(call)
    seen: list[Any] = []
    held: list[int] = []
    model.behind, model.weak = {"features": []}, weakref.WeakSet()
    model.proxy, model.namespace = types.MappingProxyType({"features": []}), vars(Namespace)
    model.items = items(held)
    hooks = nn.modules.module._global_forward_pre_hooks
    before = dict(hooks)
    hook = nn.modules.module.register_module_forward_hook(lambda module, args, output: seen.append(output))
    try:
        trace(model, X)
    finally:
        hook.remove()
    assert [model.proxy["features"], Namespace.features, list(model.weak), seen, held] == [[]] * 5
    assert model.behind == {"features": []}
    assert dict(hooks) == before


def test_streams_numbers_and_data_of_threads_are_as_before() -> None:
    def call(self: Any, x: Tensor) -> Tensor:
        self.local.x = x
        self.array.append(1.0)
        self.bytes.write(b"new")
        self.text.write("new")
        self.view[0] = 1
        return plain(self, x)

    model: Any = Way(call)
    model.local = threading.local()
    model.array, model.view = array.array("d", [0.0]), memoryview(bytearray(2))
    model.bytes, model.text = io.BytesIO(b"old bytes"), io.StringIO()
    trace(model, X)
    assert not hasattr(model.local, "x")
    assert model.array.tolist() == [0.0]
    assert bytes(model.view) == bytes(2)
    assert (model.bytes.getvalue(), model.bytes.tell(), model.text.getvalue()) == (b"old bytes", 0, "")
