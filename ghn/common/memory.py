"""Want of memory: told apart from other errors, and told in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ALLOCATORS = ("DefaultCPUAllocator", "not enough memory", "Cannot allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the host has no memory left."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(text in str(error) for text in _ALLOCATORS)


@contextmanager
def memory_errors_as(kind: Callable[[str], Exception], message: str) -> Iterator[None]:
    """Within the block, want of memory is an error of this kind and message."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise kind(message) from None
