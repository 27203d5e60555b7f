"""Room for recursion: what nests deeper than Python's stack runs in a thread with a larger one.

A call of a module takes three frames of Python's, and a thousand are allowed by default.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import nn

from ghn.common.modules import depth

Result = TypeVar("Result")

DEEP = 300
"""Levels of modules from which on the larger stack is taken at once: the caller's may end before Python notices."""

FRAMES = 50_000
"""Frames that the larger stack has room for."""

FRAMES_A_LEVEL = 12
"""And how many more for each level of modules."""

BYTES_A_FRAME = 8192
"""As with Python's own proportions, eight megabytes for a thousand frames; only what is used takes memory."""

_room = threading.local()
_lock = threading.Lock()
_limits: list[int] = []  # the recursion limits of all larger stacks in use
_outer_limit = 0


def is_roomy() -> bool:
    """Whether this thread has the larger stack."""
    return getattr(_room, "is_roomy", False)


def is_room_needed() -> bool:
    """Whether some thread has the larger stack."""
    return bool(_limits)


def with_room(function: Callable[[], Result], model: nn.Module) -> Result:
    """The result of a function that runs a model, which may nest as deep as it likes.

    It is called in this thread first, if the model does not look deep. Grad mode, default device and context variables
    of this thread hold in the other one, too.

    Args:
        function: What to call; again if it raises `RecursionError`.
        model: The model.
    """
    if is_roomy():
        return function()
    levels = depth(model)
    if levels < DEEP:
        try:
            return function()
        except RecursionError:
            # Outside of the handler, so that the traceback lets go of a thousand frames.
            pass
    return _in_roomy_thread(function, FRAMES + FRAMES_A_LEVEL * levels)


def _in_roomy_thread(function: Callable[[], Result], frames: int) -> Result:
    results: list[Result] = []
    failures: list[BaseException] = []
    # What new tensors get: not all versions say so of a device that is a context.
    device, with_gradients = torch.empty(0).device, torch.is_grad_enabled()
    on_device = contextlib.nullcontext() if device.type == "cpu" else device

    def run() -> None:
        _room.is_roomy = True
        try:
            with _recursion_limit(frames), on_device, torch.set_grad_enabled(with_gradients):
                results.append(function())
        except BaseException as error:
            failures.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(run), daemon=True)
    with _lock:
        before = threading.stack_size(frames * BYTES_A_FRAME)
        try:
            thread.start()
        except RuntimeError as error:
            raise RecursionError("the model nests deeper than the memory for a stack allows") from error
        finally:
            threading.stack_size(before)
    thread.join()
    if failures:
        raise failures.pop()
    return results[0]


@contextlib.contextmanager
def _recursion_limit(frames: int) -> Iterator[None]:
    """Raise the recursion limit, which all threads share, while any thread needs it."""
    global _outer_limit
    with _lock:
        if not _limits:
            _outer_limit = sys.getrecursionlimit()
        _limits.append(frames)
        sys.setrecursionlimit(max(_outer_limit, *_limits))
    try:
        yield
    finally:
        with _lock:
            _limits.remove(frames)
            sys.setrecursionlimit(max([_outer_limit, *_limits]))
