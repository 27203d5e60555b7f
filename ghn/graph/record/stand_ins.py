"""Tensors that take the places of a model's own while it runs, so that the model's own are never written to.

The model keeps its tensors where they are. Whatever way a function or an operator comes to one of them (an attribute, a
closure, a weak reference, a list of the user's), it gets the stand-in, and what it writes, it writes to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ghn.common.tensors import storage_of
from ghn.graph.record.trees import PLAIN, TENSORS, map_tensors


class StandIns:
    """A model's tensors, by identity, and what functions and operators get in their places."""

    def __init__(self) -> None:
        self._made: dict[int, Tensor] = {}
        self._waiting: dict[int, Callable[[Tensor], Tensor]] = {}
        self._originals: dict[int, Tensor] = {}
        self._owners: dict[int, tuple[torch.UntypedStorage, Tensor]] = {}
        # Who records sees here what is made: the tensor, and how to make it.
        self.notice: Callable[[Tensor, Callable[[], tuple[Tensor, Tensor | None]]], Tensor] = lambda _, make: make()[0]

    def put(self, original: Tensor, stand_in: Tensor) -> None:
        """Let a tensor be replaced from now on, and others in its memory by views of what replaces it."""
        self._made[id(original)] = stand_in
        self._originals[id(stand_in)] = original
        self._hold(original)

    def wait(self, original: Tensor, make: Callable[[Tensor], Tensor]) -> None:
        """Let a tensor be replaced when it is met, by what `make` makes if it is the first in its memory."""
        if not self.has(original):
            self._waiting[id(original)] = make
            self._hold(original)

    def _hold(self, original: Tensor) -> None:
        self._originals[id(original)] = original
        storage = storage_of(original)
        if storage is not None:
            self._owners.setdefault(id(storage), (storage, original))

    def shares(self, tensor: Tensor) -> bool:
        """Whether a tensor is in the memory of one that has a stand-in."""
        return id(storage_of(tensor)) in self._owners

    def of(self, tensor: Tensor) -> Tensor:
        """What takes a tensor's place; most tensors keep it."""
        key = id(tensor)
        stand_in = self._made.get(key)
        if stand_in is None:
            return self.notice(tensor, lambda: self._make(tensor)) if key in self._waiting else tensor
        return stand_in

    def _make(self, original: Tensor) -> tuple[Tensor, Tensor | None]:
        """A new stand-in, and the one that it is a view of."""
        stand_in, source = self._view_of_owner(original)
        make = self._waiting.pop(id(original))
        if stand_in is None:
            stand_in = make(original)
        self.put(original, stand_in)
        return stand_in, source

    def _view_of_owner(self, original: Tensor) -> tuple[Tensor | None, Tensor | None]:
        storage = storage_of(original)
        _, owner = self._owners.get(id(storage), (None, original))
        if owner is original or owner.dtype != original.dtype:
            return None, None
        source = self.of(owner)
        if source.layout is not torch.strided or source.stride() != owner.stride():
            return None, None
        try:
            offset = int(original.storage_offset()) - int(owner.storage_offset()) + int(source.storage_offset())
            return source.detach().as_strided(original.shape, original.stride(), offset), source
        except RuntimeError:
            # It reaches beyond the owner, of which no more is known than its own elements.
            return None, None

    def has(self, tensor: Tensor) -> bool:
        """Whether something takes the tensor's place."""
        return id(tensor) in self._made or id(tensor) in self._waiting

    def replace(self, tensor: Tensor, number: Callable[[Tensor], int | None]) -> bool:
        """Whether something takes a tensor's place; one of no number in a model's memory gets a view of that."""
        if self.has(tensor):
            return True
        if tensor.is_meta or not self.shares(tensor) or number(tensor) is not None:
            return False
        self.wait(tensor, torch.clone)
        return True

    def concern(self, tree: Any) -> bool:
        """Whether a tensor among the arguments of a call has a stand-in."""
        for item in tree if type(tree) is tuple or not isinstance(tree, Mapping) else tree.values():
            # What is in these lives, so that nothing else has its identity.
            if id(item) in self._made or id(item) in self._waiting:
                return True
            kind = type(item)
            if kind in PLAIN or kind in TENSORS:
                continue
            if isinstance(item, (tuple, list, Mapping)) and self.concern(item):
                return True
        return False

    def in_place_of(self, tree: Any) -> Any:
        """Arguments of a call with every tensor of the model replaced."""
        return map_tensors(tree, self.of) if self.concern(tree) else tree

    def original(self, result: Any) -> Any:
        """The model's own tensor for its stand-in, which some functions return as they got it; all else as it is."""
        return self._originals.get(id(result), result) if isinstance(result, Tensor) else result


def copy_of_constant(tensor: Tensor) -> Tensor:
    """Its numbers on the CPU, of a tensor that is none of the model's parameters and buffers."""
    if tensor.is_meta or tensor.layout is not torch.strided:
        return tensor.detach()
    return tensor.detach().to("cpu", copy=True)
