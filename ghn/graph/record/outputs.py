"""The tensors in whatever a model returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from ghn.common.private_torch import parts_of


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
