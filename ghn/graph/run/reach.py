"""Give a model, and all that it reaches, the state back that it had before it ran.

A forward pass may count its calls, append features to lists, cache what it computes, register layers, or change what
its hooks and closures hold. What can be reached from the model is walked once, and whatever was changed is put back.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import gc
import operator
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.modules import modules
from ghn.common.private_torch import MODULE_BUFFERS, MODULE_PARAMETERS, hooks_of_all_modules
from ghn.graph.run import code, saved
from ghn.graph.run.iterators import Replayed, independent, is_iterator

# Values that no forward pass can change.
_ATOMIC = frozenset(
    (int, float, complex, str, bytes, bool, type(None), type(...), range, slice, torch.dtype, torch.device, torch.Size)
)
# Objects of Python's own hold no state of a model, but for these; queues and events belong to other threads as well.
_LOCALS, _WEAK = ("_thread", "_threading_local"), ("weakref", "_weakrefset")
_HOLDERS = ("collections", "types", "functools", "argparse", "abc", "csv", *_LOCALS, *_WEAK)
_CACHE: Any = functools._lru_cache_wrapper
_DICTS = (dict, collections.OrderedDict)
_FOLLOWED = (list, dict, Tensor, nn.Module, _CACHE, *saved.KINDS)
# Methods that PyTorch and Python call.
_CALLED = ("forward", "backward", "setup_context", "vmap", "jvp", "right_inverse", "train", "run")


@contextlib.contextmanager
def kept_as_it_is(model: nn.Module) -> Iterator[Reach]:
    """Context after which a model, and what it reaches, is as before, whatever happened in it.

    Restored are attributes of modules, other objects and classes; lists, dicts, sets and arrays; sources of random
    numbers and iterators; what closures hold, and globals that functions name. Tensors are not: what stands in for them
    while the model runs is written to in their places.

    Args:
        model: The model.

    Yields:
        What was reached.
    """
    reach = Reach()
    try:
        reach.walk(model)
        yield reach
    finally:
        try:
            reach.restore()
        except BaseException:
            # Interrupted: once more, from the start.
            reach.restore()
            raise


class Reach:
    """What is reached from a model.

    Attributes:
        modules: The model's modules.
        parameters: Every parameter, also those of modules that only closures and the like hold.
        buffers: Every buffer, likewise.
        tensors: Every other tensor: attributes, and what lists, closures and the like hold.
    """

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self.parameters: list[Tensor] = []
        self.buffers: list[Tensor] = []
        self.tensors: list[Tensor] = []
        # Whatever is in here lives, so that its identity stays its own.
        self._seen: dict[int, Any] = {}
        self._pending: list[Any] = []
        self._empty: list[dict[Any, Any]] = []
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._lists: list[tuple[list[Any], list[Any]]] = []
        self._undo: list[saved.Undo] = []
        self._afterwards: list[saved.Undo] = []
        self._visitors: dict[type, Callable[[Any], Any]] = {}
        self._slots: dict[type, tuple[Any, ...]] = {}
        self._iterators: dict[type, bool] = {}
        self._independent: dict[int, tuple[Any, Any]] = {}
        self._globals: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._whole: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._packages: set[str] = set()
        self._named: set[str] = set(_CALLED)
        self._unnamed: dict[str, list[Any]] = {}

    def walk(self, model: nn.Module) -> None:
        """Visit everything, the model's modules first."""
        self.modules = list(modules(model))
        kinds = {kind for module in self.modules for kind in type(module).__mro__}
        self._packages = {code.package_of(kind.__module__) for kind in kinds}
        self._pending += [*hooks_of_all_modules(), *reversed(self.modules)]
        while self._pending:
            value = self._pending.pop()
            kind = type(value)
            if kind in _ATOMIC or id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            visit = self._visitors.get(kind)
            if visit is None:
                visit = self._visitors[kind] = self._visitor(kind)
            visit(value)
        own = {id(tensor) for tensor in [*self.parameters, *self.buffers]}
        self.tensors = [tensor for tensor in self.tensors if id(tensor) not in own]

    def restore(self) -> None:
        """Undo every change."""
        for undo in reversed(self._undo):
            undo()
        for values in self._empty:
            if values:
                saved.put_dict_back(values, {})
        for values, before in self._dicts:
            saved.put_dict_back(values, before)
        for items, held in self._lists:
            saved.put_list_back(items, held)
        for scope, bound in self._globals.values():
            saved.put_names_back(scope, bound)
        for scope, bound in self._whole.values():
            saved.put_names_back(scope, bound, every=True)
        for put in self._afterwards:
            put()

    def _visitor(self, kind: type) -> Callable[[Any], Any]:
        """What to do with values of a kind; decided by their true class, as proxies claim to be of another."""
        visitors: dict[Any, Callable[[Any], Any]] = {
            nn.Module: self._module,
            Tensor: self.tensors.append,
            dict: self._dict,
            list: self._list,
            tuple: lambda items: self._pending.extend(tuple.__iter__(items)),
            frozenset: lambda items: self._pending.extend(frozenset.__iter__(items)),
            memoryview: lambda view: self._pending.append(view.obj),
            types.ModuleType: self._file,
            types.MappingProxyType: self._proxy,
            types.FunctionType: self._function,
            types.CellType: self._cell,
            type: self._class,
            types.MethodType: lambda method: self._pending.extend((method.__self__, method.__func__)),
            staticmethod: lambda method: self._pending.append(method.__func__),
            classmethod: lambda method: self._pending.append(method.__func__),
            property: lambda held: self._pending.extend((held.fget, held.fset)),
            functools.partial: self._partial,
            weakref.ReferenceType: lambda reference: self._pending.append(reference()),
            _CACHE: self._cache,
        }
        for base, visitor in visitors.items():
            if issubclass(kind, base):
                return visitor
        base, save = next(((base, save) for base, save in saved.KINDS.items() if issubclass(kind, base)), (None, None))
        if save is not None:
            return functools.partial(self._save, save, base if base in (set, collections.deque) else None)
        root = kind.__module__.partition(".")[0]
        ours = root not in sys.stdlib_module_names or root in _HOLDERS or root == "__main__"
        return self._object if ours else lambda _: None

    def _save(self, save: Callable[[Any], saved.Undo], container: Any, value: Any) -> None:
        self._undo.append(save(value))
        if container is not None:
            self._pending.extend(container.__iter__(value))

    def _module(self, module: nn.Module) -> None:
        self._undo.append(saved.saved_class(module))
        if isinstance(module, torch.jit.ScriptModule):
            self._undo.append(saved.saved_mode(module))
        for name, found in ((MODULE_PARAMETERS, self.parameters), (MODULE_BUFFERS, self.buffers)):
            for _, tensor in (module.__dict__.get(name) or {}).items():
                if tensor is not None:
                    found.append(tensor)
                    if not is_lazy(tensor):
                        self._dict(tensor.__dict__)
        self._object(module)

    def _object(self, value: Any) -> None:
        kind = type(value)
        try:
            attributes = value.__dict__ if kind is threading.local else object.__getattribute__(value, "__dict__")
        except AttributeError:
            attributes = None
        if type(attributes) is dict:
            self._dict(attributes)
        members = self._slots.get(kind)
        if members is None:
            members = self._slots[kind] = code.slots(kind)
        for member in members:
            try:
                held = member.__get__(value)
            except AttributeError:
                held = saved.MISSING
            self._undo.append(functools.partial(saved.put_slot_back, value, member, held))
            self._hold(held, functools.partial(member.__set__, value))
        self._pending.append(kind)

    def _dict(self, values: dict[Any, Any]) -> None:
        if not values:
            self._empty.append(values)
            return
        before = dict(values) if type(values) is dict else saved.items_of(values)
        self._dicts.append((values, before))
        for key, value in before.items():
            kind = type(value)
            if kind in _DICTS and not value:
                self._empty.append(value)
            elif kind not in _ATOMIC:
                if self._holds_iterator(value, kind):
                    self._hold(value, functools.partial(values.__setitem__, key))
                else:
                    self._pending.append(value)
            if type(key) is not str:
                self._pending.append(key)

    def _list(self, items: list[Any]) -> None:
        before = list(list.__iter__(items))
        self._lists.append((items, before))
        for index, item in enumerate(before):
            kind = type(item)
            if kind not in _ATOMIC:
                if self._holds_iterator(item, kind):
                    self._hold(item, functools.partial(items.__setitem__, index))
                else:
                    self._pending.append(item)

    def _proxy(self, proxy: types.MappingProxyType[Any, Any]) -> None:
        (mapping,) = gc.get_referents(proxy)
        # Attributes of classes are put back by other means.
        self._pending.extend(mapping.values() if "__module__" in mapping else [mapping])

    def _is_iterator(self, kind: type) -> bool:
        found = self._iterators.get(kind)
        if found is None:
            found = self._iterators[kind] = is_iterator(kind)
        return found

    def _holds_iterator(self, value: Any, kind: type, levels: int = 8) -> bool:
        """Whether a value that cannot be changed is an iterator, or holds one."""
        if kind is types.MethodWrapperType:
            return self._is_iterator(type(value.__self__))
        if issubclass(kind, tuple):
            items = tuple.__iter__(value)
            return levels > 0 and any([self._holds_iterator(item, type(item), levels - 1) for item in items])
        return self._is_iterator(kind)

    def _hold(self, value: Any, put: Callable[[Any], Any]) -> None:
        """Visit what something holds; instead of an iterator it is made to hold one that may be used up.

        Args:
            value: What is held.
            put: Lets the holder have another value.
        """
        kind = type(value)
        if not self._holds_iterator(value, kind):
            self._pending.append(value)
            return
        if kind is types.MethodWrapperType:
            self._hold(value.__self__, lambda taking: put(getattr(taking, value.__name__)))
            return
        if issubclass(kind, tuple):
            self._hold_items(value, lambda items: put(tuple.__new__(kind, items)))
            return
        held, taking = self._independent.get(id(value), (None, None))
        if held is None:
            taking = independent(value)
            self._independent[id(value)] = value, taking
            if not isinstance(taking, Replayed):
                # The copy has the same arguments; what one that goes on has changed stays with what it gave.
                self._pending.extend(gc.get_referents(value))
        put(taking)
        if isinstance(taking, Replayed):
            replayed = taking
            self._afterwards.append(lambda: put(replayed.again()) if replayed.taken else None)

    def _hold_items(self, before: tuple[Any, ...], put: Callable[[list[Any]], Any]) -> None:
        """The same for each item of a tuple, of which there is another one for each change."""
        items = list(tuple.__iter__(before))

        def put_item(index: int, item: Any) -> None:
            items[index] = item
            put(items)

        held = list(items)
        self._afterwards.append(lambda: operator.setitem(items, slice(None), held))
        for index, item in enumerate(held):
            self._hold(item, functools.partial(put_item, index))

    def _partial(self, call: functools.partial[Any]) -> None:
        function, arguments, named, attributes = call.func, call.args, call.keywords, vars(call)

        def put(items: list[Any]) -> None:
            call.__setstate__((items[0], tuple(items[1:]), named, attributes))  # type: ignore[attr-defined]

        if self._holds_iterator((function, arguments), tuple):
            self._undo.append(lambda: put([function, *arguments]))
            self._hold_items((function, *arguments), put)
        else:
            self._pending.extend((function, arguments))
        self._pending.extend((named, attributes))

    def _class(self, kind: type) -> None:
        if code.is_of_libraries(kind):
            return
        self._pending.extend(kind.__mro__[1:])
        values = dict(code.values_of_class(kind))
        self._pending.extend(values.values())
        self._undo.append(functools.partial(saved.put_attributes_back, kind, dict(vars(kind))))
        methods = [(name, value) for name, value in vars(kind).items() if isinstance(value, code.CODE)]
        sparse = code.is_installed(kind.__module__)
        for name, value in methods:
            if not sparse or name in self._named or name.startswith("__"):
                self._pending.append(value)
            else:
                self._unnamed.setdefault(name, []).append(value)

    def _function(self, function: types.FunctionType) -> None:
        self._pending += [function.__defaults__, function.__kwdefaults__, *(function.__closure__ or ())]
        if function.__dict__:
            self._dict(function.__dict__)
        scope = function.__globals__
        named = code.global_names(function.__code__)
        own = scope.get("__name__")
        for name in named.names - self._named:
            self._named.add(name)
            self._pending += self._unnamed.pop(name, ())
        self._hold_names(scope, named.names, own)
        for name in named.rebound:
            self._keep_name(scope, name)
        # Others may bind globals of the same file meanwhile: all are put back only where code may bind any.
        changed = [scope] if "globals" in named.names else []
        for module in code.modules_named(named.names, scope, importing=named.importing):
            self._hold_names(module.__dict__, named.names, own)
            if code.is_own(module):
                changed.append(module.__dict__)
                for name in named.names:
                    self._keep_name(module.__dict__, name)
        if named.by_text and not code.is_installed(own):
            for held in changed:
                self._whole.setdefault(id(held), (held, dict(held)))

    def _file(self, module: types.ModuleType) -> None:
        """A module that something holds: which of its names are asked for, nobody knows."""
        if code.is_own(module):
            scope = module.__dict__
            self._whole.setdefault(id(scope), (scope, dict(scope)))
            self._hold_names(scope, list(scope), scope.get("__name__"))

    def _keep_name(self, scope: dict[str, Any], name: str) -> None:
        self._globals.setdefault(id(scope), (scope, {}))[1].setdefault(name, scope.get(name, saved.MISSING))

    def _hold_names(self, scope: dict[str, Any], names: Iterable[str], own: Any) -> None:
        """Visit what names in a scope stand for, if they are named by code of the module `own`."""
        for name in names:
            value = scope.get(name)
            kind = type(value)
            if kind in _ATOMIC or kind is types.ModuleType or id(value) in self._seen:
                continue
            if self._holds_iterator(value, kind):
                self._keep_name(scope, name)
                self._hold(value, functools.partial(scope.__setitem__, name))
            elif issubclass(kind, _FOLLOWED) or code.is_followed(value, kind, own, self._packages):
                self._pending.append(value)

    def _cell(self, cell: types.CellType) -> None:
        try:
            held = cell.cell_contents
        except ValueError:
            return
        put = functools.partial(setattr, cell, "cell_contents")
        self._undo.append(functools.partial(put, held))
        self._hold(held, put)

    def _cache(self, cached: Any) -> None:
        self._undo.append(saved.saved_cache(cached))
        self._pending.append(cached.__wrapped__)
