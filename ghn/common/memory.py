"""Want of memory: told apart from other errors, and told in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_ALLOCATORS = ("DefaultCPUAllocator", "not enough memory", "Cannot allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the host has no memory left."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(text in str(error) for text in _ALLOCATORS)


def give_back() -> None:
    """Give the system what has been freed; glibc keeps pieces below 32 MB, of large networks many gigabytes."""
    import ctypes
    import gc

    gc.collect()
    with suppress(OSError, AttributeError):  # of other C libraries
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextmanager
def memory_errors_as(kind: Callable[[str], Exception], message: str) -> Iterator[None]:
    """Within the block, want of memory is an error of this kind and message."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise kind(message) from None
