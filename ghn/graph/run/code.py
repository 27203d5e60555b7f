"""What functions and classes hold and can change: closures, globals that they name, attributes of classes.

Code is somebody's own, an installed package's, or a library's: Python's, PyTorch's and the like, where no state of a
model is kept.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Container, Iterable, Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

CODE = (types.FunctionType, property, staticmethod, classmethod)
"""What is code among the attributes of a class."""

_REBIND = frozenset((dis.opmap["STORE_GLOBAL"], dis.opmap["DELETE_GLOBAL"]))
_IMPORT = dis.opmap["IMPORT_NAME"]
_INSTALLED = frozenset(("site-packages", "dist-packages"))
_SETTING = frozenset(("setattr", "delattr", "globals", "vars", "__dict__"))


def is_of_libraries(kind: type) -> bool:
    """Whether a class is Python's or PyTorch's: no state of a model is kept in it."""
    return _is_library(package_of(kind.__module__))


def is_installed(name: Any) -> bool:
    """Whether a module belongs to a package that was installed, of which forward passes use a small part."""
    return _is_installed(package_of(name))


def is_own(module: types.ModuleType) -> bool:
    """Whether a module is neither a library's nor installed."""
    root = package_of(module.__dict__.get("__name__"))
    return not _is_library(root) and not _is_installed(root)


def is_followed(value: Any, kind: type, name: Any, packages: Container[str]) -> bool:
    """Whether what code of the module `name` names as a global may hold state of a model.

    That is what the same file defines, what somebody's own files do, and functions: an object of an installed package
    may have threads and connections, which are none of a model's, and a package uses a hundred others for what is none
    of a model's either. From function to function it goes only within packages that models are of: a function of a
    test runner would lead to all tests.

    Args:
        value: What is named.
        kind: Its true class.
        name: Of the module.
        packages: Those that define modules of the model.
    """
    of_code = issubclass(kind, (types.FunctionType, type))
    home = value.__module__ if of_code else kind.__module__
    if home == name:
        return True
    root = package_of(home)
    if _is_library(root):
        return not of_code and root in sys.stdlib_module_names
    if not _is_installed(root):
        return True
    known = not is_installed(name) or (root == package_of(name) and root in packages)
    return known and issubclass(kind, types.FunctionType)


def package_of(name: Any) -> str:
    """The package that a module of this name belongs to; empty for what is no name."""
    return name.partition(".")[0] if isinstance(name, str) else ""


def _is_library(root: str) -> bool:
    return root in ("torch", "numpy", "ghn") or (root in sys.stdlib_module_names and root != "__main__")


@functools.lru_cache(maxsize=4096)
def _is_installed(root: str) -> bool:
    scope = getattr(sys.modules.get(root), "__dict__", {})
    places = [scope.get("__file__"), *(scope.get("__path__") or ())]
    return any(not _INSTALLED.isdisjoint(PurePath(place).parts) for place in places if isinstance(place, str))


def modules_named(names: Iterable[str], scope: dict[str, Any], *, importing: bool) -> Iterator[types.ModuleType]:
    """Modules that code names: globals, what it imports itself, and modules in these.

    Args:
        names: The names.
        scope: The globals of the code.
        importing: Whether the code imports something.
    """
    pending = [value for value in map(scope.get, names) if isinstance(value, types.ModuleType)]
    if importing:
        package = scope.get("__package__") or ""
        found = [sys.modules.get(place) for name in names for place in (name, f"{package}.{name}")]
        pending += [module for module in found if module is not None]
    seen: set[int] = set()
    while pending:
        module = pending.pop()
        held = module.__dict__
        if id(module) in seen or _is_library(package_of(held.get("__name__"))):
            continue
        seen.add(id(module))
        yield module
        pending += [value for value in map(held.get, names) if isinstance(value, types.ModuleType)]


def values_of_class(kind: type) -> Iterator[tuple[str, Any]]:
    """A class's own attributes that are values, not code."""
    for name, value in list(vars(kind).items()):
        if not name.startswith("__") and not isinstance(value, (*CODE, types.MemberDescriptorType)):
            yield name, value


def slots(kind: type) -> tuple[Any, ...]:
    """Descriptors of a class's slots."""
    return tuple(
        member
        for base in kind.__mro__
        if not is_of_libraries(base)
        for member in vars(base).values()
        if isinstance(member, types.MemberDescriptorType)
    )


class Named(NamedTuple):
    """What code, and that of functions in it, names.

    Attributes:
        names: Globals and attributes that it may name.
        rebound: Globals that it binds anew.
        importing: Whether it imports something.
        by_text: Whether it may set globals and attributes whose names are made of text.
    """

    names: frozenset[str]
    rebound: frozenset[str]
    importing: bool
    by_text: bool


@functools.lru_cache(maxsize=65536)
def global_names(code: types.CodeType) -> Named:
    """What code names."""
    names: set[str] = set(code.co_names)
    rebound: set[str] = set()
    steps = code.co_code[::2]
    importing, by_text = _IMPORT in steps, not _SETTING.isdisjoint(names)
    if not _REBIND.isdisjoint(steps):
        rebound.update(step.argval for step in dis.get_instructions(code) if step.opcode in _REBIND)
    if by_text or "getattr" in names:
        names.update(text for text in code.co_consts if isinstance(text, str) and text.isidentifier())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = global_names(constant)
            names |= inner.names
            rebound |= inner.rebound
            importing, by_text = importing or inner.importing, by_text or inner.by_text
    return Named(frozenset(names), frozenset(rebound), importing, by_text)
