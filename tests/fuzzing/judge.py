"""The rule for all that others wrote: read, or refused by one line, in little time and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ghn.common.errors import OneLineError

SECONDS = 10.0

FREE, EXPANSION = 64 << 20, 6
"""Bytes of memory that any input may take, and that each of its bytes may take beyond."""

LONGEST = 1000


def peak_memory() -> int:
    """Most bytes of memory that the process had since `forget_peak`, or ever, where that cannot be forgotten."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Let `peak_memory` begin anew."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def fault(read: Callable[[], Any], size: int) -> str:
    """What is wrong with how an input of `size` bytes is read; empty if nothing is."""
    forget_peak()
    before, start = peak_memory(), time.process_time()
    message = ""
    try:
        read()
    except OneLineError as error:
        message = str(error)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]!r}"
    seconds, memory = time.process_time() - start, peak_memory() - before
    if not message.isprintable() or len(message) > LONGEST:
        return f"no clean line: {message[:200]!r}"
    if seconds > SECONDS:
        return f"took {seconds:.0f} s"
    if memory > FREE + EXPANSION * size:
        return f"took {memory >> 20} MB for {size:,} bytes"
    return ""
