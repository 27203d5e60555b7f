"""Signals that ask a training to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StoppedError(RuntimeError):
    """A training was asked to stop before its end; what it had done is saved, and the same call goes on."""


@contextmanager
def on_stop_signal(action: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call `action`; a second one has its usual effect. Nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        action()
        signal.signal(number, before[number])

    for number in (int(signal.SIGTERM), int(signal.SIGINT)):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
