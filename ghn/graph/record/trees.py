"""Tensors in nested tuples, lists and mappings, as arguments and results of calls are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_TENSORS = frozenset({Tensor, nn.Parameter})
# What arguments of operators mostly are; to ask whether they are mappings takes longer than all else.
_PLAIN = frozenset(
    {int, float, bool, str, bytes, complex, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format}
)


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Every tensor, in order."""
    found: list[Tensor] = []
    _collect(tree, found)
    return iter(found)


def _collect(tree: Any, found: list[Tensor]) -> None:
    kind = type(tree)
    if kind in _TENSORS:
        found.append(tree)
    elif kind in _PLAIN:
        return
    elif kind is tuple or kind is list:
        for item in tree:
            if type(item) not in _PLAIN:
                _collect(item, found)
    elif kind is dict or kind is OrderedDict:
        for item in tree.values():
            if type(item) not in _PLAIN:
                _collect(item, found)
    elif isinstance(tree, Tensor):
        found.append(tree)
    elif isinstance(tree, Mapping):
        for item in tree.values():
            _collect(item, found)
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            _collect(item, found)


def map_tensors(tree: Any, function: Callable[[Tensor], Any]) -> Any:
    """The same structure with `function` of each tensor in its place."""
    kind = type(tree)
    if kind in _PLAIN:
        return tree
    if kind in _TENSORS or isinstance(tree, Tensor):
        return function(tree)
    if kind is tuple or kind is list:
        return kind([item if type(item) in _PLAIN else map_tensors(item, function) for item in tree])
    if isinstance(tree, Mapping):
        return {key: map_tensors(item, function) for key, item in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[map_tensors(item, function) for item in tree])
    if isinstance(tree, (tuple, list)):
        return type(tree)([map_tensors(item, function) for item in tree])
    return tree
