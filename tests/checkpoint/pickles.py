"""Calls and storages to pickle."""

from typing import Any

import torch

from tests.checkpoint.files import dumped


class Call:
    """Pickles as the call `function(*arguments)`, optionally followed by setting a state."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments, state) if state is not None else (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced

    def __call__(self) -> None:
        """Only what is callable may be pickled as a function."""


def old_torch(value: Any) -> bytes:
    return dumped(torch.save, value, _use_new_zipfile_serialization=False)


def typed_storage() -> Any:
    """What `torch.ones(2).storage()` would be, without its warning."""
    tensor = torch.ones(2)
    return torch.storage.TypedStorage(wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True)


def storage_of(data: bytes) -> Call:
    """What a torch storage looks like in an ordinary pickle: nested bytes that torch unpickles without restriction."""
    return Call(torch.storage._load_from_bytes, data)


def tensor_with_hooks(hooks: Any) -> Call:
    storage = storage_of(old_torch(typed_storage()))
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, (2,), (1,), False, hooks)


def strided(offset: int, shape: tuple[Any, ...], strides: tuple[int, ...]) -> Call:
    """A view of a storage of two elements."""
    return Call(torch._utils._rebuild_tensor, storage_of(old_torch(typed_storage())), offset, shape, strides)
