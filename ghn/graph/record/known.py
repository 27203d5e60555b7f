"""The tensors that a recorder has met, found again by identity or by the memory that they stand in.

A forward pass asks for every argument of every operator, so that nothing here may look through all tensors.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ghn.common.private_torch import HeldAddresses, referent, storage_address
from ghn.common.tensors import storage_of

Place = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Offset, sizes and strides in a storage."""


class _Mark(weakref.ref[Tensor]):
    """A weak reference that knows what it is filed under."""

    __slots__ = ("first_place", "key", "memory", "number", "place", "storage", "version")
    key: int
    number: int
    version: int
    memory: int
    first_place: Place
    storage: int
    place: Place


class KnownTensors:
    """Tensors by identity, as long as they live: each has a number and a version.

    The numbers are those of values in a record; versions count the writes to the tensor's memory that were looked at.
    Those of a tensor that is gone are kept for another one in its place: `nn.Parameter(x * 2)` is the product under
    another name, made by no operator, and outlives it.
    """

    def __init__(self) -> None:
        self._marks: dict[int, _Mark] = {}
        # Marks by storage and place; made when it is first asked for, which most models never cause.
        self._places: dict[int, dict[Place, dict[int, _Mark]]] | None = None
        self._gone: dict[int, dict[Place, _Mark]] = {}
        self._memories = HeldAddresses()
        self._callback = _forgetting(weakref.ref(self))

    def __contains__(self, tensor: Tensor) -> bool:
        return id(tensor) in self._marks

    def __getitem__(self, tensor: Tensor) -> int:
        return self._marks[id(tensor)].number

    def __setitem__(self, tensor: Tensor, number: int) -> None:
        mark = self._marks.get(id(tensor))
        if mark is not None:
            mark.number = number
            return
        mark = self._marks[id(tensor)] = _Mark(tensor, self._callback)
        mark.key, mark.number, mark.version = id(tensor), number, 0
        if self._places is not None:
            self._file(mark, tensor)

    def put(self, tensor: Tensor, number: int, place: Place) -> None:
        """Set the number of a tensor that stands in a place of its memory."""
        self[tensor] = number
        storage = storage_of(tensor)
        if storage is not None:
            mark = self._marks[id(tensor)]
            mark.memory, mark.first_place = self._memories.hold(storage), place

    def inherit(self, tensor: Tensor, place: Place) -> bool:
        """Give a tensor the number and version of the last one that was in its place and is gone, if there is one."""
        mark = self._gone_in_memory_of(tensor).get(place)
        if mark is None:
            return False
        self.put(tensor, mark.number, place)
        self.set_version(tensor, mark.version)
        return True

    def get(self, tensor: Tensor) -> int | None:
        """The number of a tensor, None if it is not known."""
        mark = self._marks.get(id(tensor))
        return None if mark is None else mark.number

    def version(self, tensor: Tensor) -> int:
        """The version of a known tensor; 0 if none was set."""
        return self._marks[id(tensor)].version

    def set_version(self, tensor: Tensor, version: int) -> None:
        """Set the version of a known tensor."""
        self._marks[id(tensor)].version = version

    def in_same_place(self, tensor: Tensor) -> Tensor | None:
        """A known tensor that is another view of exactly the same elements in the same memory; None without one."""
        memory = storage_of(tensor)
        if memory is None:
            return None
        place = _place(tensor)
        for mark in list(self._in_memory_of(tensor).get(place, {}).values()):
            known = referent(mark)
            # Assigning to `.data` moves a tensor to other memory.
            if known is not None and storage_of(known) is memory and _place(known) == place:
                return known
        return None

    def shares_memory(self, tensor: Tensor) -> bool:
        """Whether a tensor, or one in the same memory, is known."""
        return tensor in self or bool(self._in_memory_of(tensor)) or bool(self._gone_in_memory_of(tensor))

    def leave(self, tensor: Tensor) -> None:
        """Let go of a tensor that has moved to other memory, as of one that is gone."""
        mark = self._marks.get(id(tensor))
        if mark is not None:
            self.forget(mark)

    def _gone_in_memory_of(self, tensor: Tensor) -> dict[Place, _Mark]:
        return {} if storage_of(tensor) is None else self._gone.get(storage_address(tensor), {})

    def _in_memory_of(self, tensor: Tensor) -> dict[Place, dict[int, _Mark]]:
        if storage_of(tensor) is None:
            return {}
        if self._places is None:
            self._places = {}
            for mark in list(self._marks.values()):
                known = referent(mark)
                if known is not None:
                    self._file(mark, known)
        return self._places.get(storage_address(tensor), {})

    def _file(self, mark: _Mark, tensor: Tensor) -> None:
        assert self._places is not None
        if storage_of(tensor) is None:
            return
        mark.storage, mark.place = storage_address(tensor), _place(tensor)
        self._places.setdefault(mark.storage, {}).setdefault(mark.place, {})[mark.key] = mark

    def forget(self, mark: _Mark) -> None:
        """Let go of a tensor that lives no longer."""
        if self._marks.get(mark.key) is mark:
            del self._marks[mark.key]
        if hasattr(mark, "memory"):
            self._gone.setdefault(mark.memory, {})[mark.first_place] = mark
        if self._places is None or not hasattr(mark, "storage"):
            return
        places = self._places.get(mark.storage)
        if places is not None:
            marks = places.get(mark.place)
            if marks is not None:
                marks.pop(mark.key, None)
                if not marks:
                    del places[mark.place]
            if not places:
                del self._places[mark.storage]


def _forgetting(known: weakref.ref[KnownTensors]) -> Callable[[Any], None]:
    """A callback that does not keep alive what it belongs to."""

    def forget(mark: _Mark) -> None:
        owner = known()
        if owner is not None:
            owner.forget(mark)

    return forget


def _place(tensor: Tensor) -> Place:
    return int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride()
