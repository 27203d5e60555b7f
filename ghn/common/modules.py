"""The modules, parameters and buffers of a model, with the names that PyTorch gives them, at any depth.

`nn.Module.named_modules` hands each name through a generator for every level above it: the time grows with the square
of the depth, and a thousand levels are more than Python's stack takes. Here one list stands for the stack.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.errors import WrongTypeError
from ghn.common.private_torch import MODULE_BUFFERS, MODULE_CHILDREN, MODULE_PARAMETERS
from ghn.common.text import shown


def check_module(model: object) -> None:
    """Raise a WrongTypeError in one line unless a model is one."""
    if not isinstance(model, nn.Module):
        said = f" {shown(model, 60)!r}" if isinstance(model, str) else ""
        raise WrongTypeError(f"a model is a torch.nn.Module, not {type(model).__name__}{said}; build it first")


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, with its first name, in the order of `model.named_modules()`."""
    check_module(model)
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
            found = [(dotted + key, itself(child)) for key, child in children.items() if child is not None]
            pending.extend(reversed(found))


def modules(model: nn.Module) -> Iterator[nn.Module]:
    """Every module once, in the order of `model.modules()`."""
    return (module for _, module in named_modules(model))


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter once, by its first name, in the order of `model.named_parameters()`.

    A class that names its parameters itself is asked.
    """
    check_module(model)
    if type(model).named_parameters is not nn.Module.named_parameters:
        return dict(type(model).named_parameters(model))
    return _named(model, MODULE_PARAMETERS)


def named_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Every buffer once, by its first name, in the order of `model.named_buffers()`."""
    if type(model).named_buffers is not nn.Module.named_buffers:
        return dict(type(model).named_buffers(model))
    return _named(model, MODULE_BUFFERS)


def tensors_of(model: nn.Module) -> list[Tensor]:
    """Every parameter, then every buffer, once each, whatever a class names itself."""
    return [*_named(model, MODULE_PARAMETERS).values(), *_named(model, MODULE_BUFFERS).values()]


def set_mode(model: nn.Module, training: bool) -> None:
    """`model.train(training)`, by the modules' own methods where they have them."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        if isinstance(module, torch.jit.ScriptModule) or type(module).train is not nn.Module.train:
            type(module).train(module, training)
            continue
        module.__dict__["training"] = training
        waiting += [itself(child) for child in _part(module, MODULE_CHILDREN).values() if child is not None]


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Context after which every module is in training or evaluation mode as it was before."""
    modes = {module: module.training for module in modules(model)}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def holding(model: nn.Module, state: Mapping[str, Any]) -> Iterator[None]:
    """Context in which a model has copies of other numbers; after it the tensors have their own memory again.

    Args:
        model: What is written to its parameters and buffers in the context is gone after it.
        state: Numbers by name; what it does not name is a copy of the model's own.
    """
    tensors = {**named_parameters(model), **named_buffers(model)}
    own = {name: tensor.data for name, tensor in tensors.items()}
    try:
        for name, tensor in tensors.items():
            tensor.data = state.get(name, own[name]).detach().clone()
        yield
    finally:
        for name, tensor in tensors.items():
            tensor.data = own[name]


def itself(child: nn.Module) -> nn.Module:
    """The module that a weak proxy stands for; PyTorch takes those for modules too."""
    return child.__dir__.__self__ if type(child) in weakref.ProxyTypes else child  # type: ignore[attr-defined]


def depth(model: nn.Module) -> int:
    """How many levels of modules a model has, each module counted where it is nearest to the top."""
    seen = {id(model)}
    level, levels = [model], 0
    while level:
        levels += 1
        following = []
        for module in level:
            for child in _part(module, MODULE_CHILDREN).values():
                if child is not None and id(itself(child)) not in seen:
                    seen.add(id(itself(child)))
                    following.append(itself(child))
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
