"""What functions and classes hold and can change: closures, globals that they name, attributes of classes."""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

CODE = (types.FunctionType, property, staticmethod, classmethod)
"""What is code among the attributes of a class."""

_STORE = dis.opmap["STORE_GLOBAL"]


def is_of_libraries(kind: type) -> bool:
    """Whether a class is Python's or PyTorch's: no state of a model is kept in it."""
    root = kind.__module__.partition(".")[0]
    return root in ("torch", "numpy") or (root in sys.stdlib_module_names and root != "__main__")


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


@functools.lru_cache(maxsize=4096)
def global_names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Globals that code, and that of functions in it, may name; and those that it rebinds."""
    names: set[str] = set(code.co_names)
    rebound: set[str] = set()
    if _STORE in code.co_code[::2]:
        rebound.update(step.argval for step in dis.get_instructions(code) if step.opcode == _STORE)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = global_names(constant)
            names |= inner[0]
            rebound |= inner[1]
    return frozenset(names), frozenset(rebound)
