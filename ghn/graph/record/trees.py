"""Tensors in nested tuples, lists and mappings, as arguments and results of calls are, and in what models return."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.private_torch import parts_of

TENSORS = frozenset({Tensor, nn.Parameter})
# What arguments of operators mostly are; to ask whether they are mappings takes longer than all else.
PLAIN = frozenset(
    {int, float, bool, str, bytes, complex, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format}
)


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Every tensor, in order."""
    found: list[Tensor] = []
    _collect(tree, found)
    return iter(found)


def _collect(tree: Any, found: list[Tensor]) -> None:
    kind = type(tree)
    if kind in TENSORS:
        found.append(tree)
    elif kind in PLAIN:
        return
    elif kind is tuple or kind is list:
        for item in tree:
            if type(item) not in PLAIN:
                _collect(item, found)
    elif kind is dict or kind is OrderedDict:
        for item in tree.values():
            if type(item) not in PLAIN:
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
    if kind in PLAIN:
        return tree
    if kind in TENSORS:
        return function(tree)
    if kind is tuple or kind is list:
        return kind([item if type(item) in PLAIN else map_tensors(item, function) for item in tree])
    if isinstance(tree, Tensor):
        return function(tree)
    if kind is dict or isinstance(tree, Mapping):
        return {key: map_tensors(item, function) for key, item in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[map_tensors(item, function) for item in tree])
    if isinstance(tree, (tuple, list)):
        return type(tree)([map_tensors(item, function) for item in tree])
    return tree


def output_tensors(tree: Any) -> list[Tensor]:
    """The tensors in whatever a model returns, the primary one first.

    The primary output is `logits` or `out` of a mapping or dataclass that has it, else the first tensor.
    """
    found = list(_leaves(tree, set()))
    primary = _named_output(tree)
    if primary is not None:
        first = parts_of(primary)
        found = [*first, *(tensor for tensor in found if all(tensor is not part for part in first))]
    return found


def _named_output(tree: Any) -> Tensor | None:
    for name in ("logits", "out"):
        candidate = tree.get(name) if isinstance(tree, Mapping) else getattr(tree, name, None)
        if isinstance(candidate, Tensor):
            return candidate
    return None


def _leaves(tree: Any, seen: set[int]) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield from parts_of(tree)
        return
    if id(tree) in seen or isinstance(tree, (str, bytes, int, float, type(None))):
        return
    seen.add(id(tree))
    if isinstance(tree, Mapping):
        items: Iterable[Any] = tree.values()
    elif isinstance(tree, (tuple, list, set)):
        items = tree
    elif is_dataclass(tree):
        items = [getattr(tree, f.name) for f in fields(tree)]
    elif hasattr(tree, "__dict__"):
        items = vars(tree).values()
    else:
        return
    for item in items:
        yield from _leaves(item, seen)
