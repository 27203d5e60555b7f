"""The modules, parameters and buffers of a model, with the names that PyTorch gives them, at any depth.

`nn.Module.named_modules` hands each name through a generator for every level above it: the time grows with the square
of the depth, and a thousand levels are more than Python's stack takes. Here one list stands for the stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from ghn.common.private_torch import MODULE_BUFFERS, MODULE_CHILDREN, MODULE_PARAMETERS


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, with its first name, in the order of `model.named_modules()`."""
    seen: set[int] = set()
    pending: list[tuple[str, nn.Module]] = [("", model)]
    while pending:
        name, module = pending.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield name, module
        children = _part(module, MODULE_CHILDREN)
        if children:
            dotted = name and name + "."
            found = [(dotted + key, child) for key, child in children.items() if child is not None]
            pending.extend(reversed(found))


def modules(model: nn.Module) -> Iterator[nn.Module]:
    """Every module once, in the order of `model.modules()`."""
    return (module for _, module in named_modules(model))


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter once, by its first name, in the order of `model.named_parameters()`.

    A class that names its parameters itself is asked.
    """
    if type(model).named_parameters is not nn.Module.named_parameters:
        return dict(model.named_parameters())
    return _named(model, MODULE_PARAMETERS)


def named_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Every buffer once, by its first name, in the order of `model.named_buffers()`."""
    if type(model).named_buffers is not nn.Module.named_buffers:
        return dict(model.named_buffers())
    return _named(model, MODULE_BUFFERS)


def depth(model: nn.Module) -> int:
    """How many levels of modules a model has, each module counted where it is nearest to the top."""
    seen = {id(model)}
    level, levels = [model], 0
    while level:
        levels += 1
        following = []
        for module in level:
            for child in _part(module, MODULE_CHILDREN).values():
                if child is not None and id(child) not in seen:
                    seen.add(id(child))
                    following.append(child)
        level = following
    return levels


def _named(model: nn.Module, kind: str) -> dict[str, Any]:
    seen: set[int] = set()
    found: dict[str, Any] = {}
    for name, module in named_modules(model):
        own = _part(module, kind)
        if not own:
            continue
        dotted = name and name + "."
        for key, tensor in own.items():
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                found[dotted + key] = tensor
    return found


def _part(module: nn.Module, kind: str) -> Any:
    """Children, parameters or buffers; scripted modules have them elsewhere than in `__dict__`."""
    own = module.__dict__.get(kind)
    return getattr(module, kind) if own is None else own
