"""Memory that is not the recorder's, and gets its contents back after operators wrote to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ghn.common.private_torch import arguments_of, without_modes
from ghn.common.tensors import storage_of
from ghn.graph.record.trees import tensors_in


class Protected:
    """Pieces of memory by identity, and what was in them where something was written to them."""

    def __init__(self) -> None:
        self._strange: dict[int, torch.UntypedStorage] = {}
        self._saved: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._writing: dict[Any, tuple[tuple[str, int], ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._strange)

    def add(self, tensor: Tensor) -> None:
        """Let `restore` undo what operators write to the memory of a tensor."""
        storage = storage_of(tensor)
        if storage is not None and not tensor.is_meta:
            self._strange[id(storage)] = storage

    def restore(self) -> None:
        """Give protected memory the contents that it had before it was written to."""
        with without_modes():
            for storage, saved in self._saved.values():
                storage.copy_(saved)
        self._saved.clear()

    def save_what_is_written(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Save what an operator is about to overwrite."""
        for name, position in self._written_by(func):
            value = args[position] if position < len(args) else kwargs.get(name)
            for tensor in tensors_in(value):
                storage = storage_of(tensor)
                if id(storage) in self._strange and id(storage) not in self._saved and storage is not None:
                    with without_modes():
                        self._saved[id(storage)] = storage, storage.clone()

    def _written_by(self, func: Any) -> tuple[tuple[str, int], ...]:
        """Names and positions of the arguments that an operator writes to."""
        written = self._writing.get(func)
        if written is None:
            written = self._writing[func] = tuple(
                (argument.name, position)
                for position, argument in enumerate(arguments_of(func))
                if (argument.alias_info is not None and argument.alias_info.is_write)
                or argument.name in ("running_mean", "running_var")
            )
        return written
