"""The record of a run: one JSON object a line, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ghn.common.files import replaced
from ghn.common.progress import Bar
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import open_regular

FILE = "log.jsonl"

MOST_BYTES = 256 << 20
"""Of a log: a million lines."""

LONGEST_LINE = 1 << 16
"""Bytes; sound ones have a thousand."""

MOST_DAMAGED = 100_000
"""Lines or stretches of a file that are dropped; one of more is something else."""


class Logbook:
    """Writes the record; only the first rank of a run has a folder, the others write nothing.

    Args:
        folder: The run's folder, or None to write nothing.
        bar: Says what cannot be written; one of its own by default.
        start: Step the run begins or goes on at; lines of the file past it (from before a crash) are removed.
    """

    def __init__(self, folder: Path | None, *, bar: Bar | None = None, start: int = 0) -> None:
        self.folder = folder
        self._bar = bar or Bar(quiet=True)
        self._board: Any = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _cut(folder / FILE, start)
        except FormatError as error:
            self._bar.warn(f"{folder / FILE} {error}")
        except OSError as error:
            self._bar.warn(f"{folder / FILE} keeps lines after step {start} ({error.strerror})")
        try:
            self._board = _board(folder, start)
        except OSError as error:
            self._bar.warn(f"no TensorBoard record ({error.strerror})")

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Record `values` at `step`; numbers go to TensorBoard as well.

        A full disk must not end the run: the line is then only printed.
        """
        if self.folder is None:
            return
        line = json.dumps({"step": step, **values})
        try:
            _append(self.folder / FILE, line + "\n")
        except OSError as error:
            self._bar.warn(f"log line of step {step} not written ({error.strerror}): {line}")
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        self._on_board(lambda board: [board.add_scalar(name, value, step) for name, value in numbers.items()])

    def close(self) -> None:
        """Flush."""
        self._on_board(lambda board: board.close())

    def _on_board(self, action: Callable[[Any], Any]) -> None:
        """Give TensorBoard something to do; one that cannot write is given up."""
        if self._board is None:
            return
        try:
            action(self._board)
        except OSError as error:
            self._board = None
            self._bar.warn(f"the TensorBoard record ends here ({error.strerror})")


def _board(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=start or None)


def _append(file: Path, text: str) -> None:
    """Add to a file; a pipe of that name is not waited for."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    with open(descriptor, "a", encoding="utf-8") as opened:
        opened.write(text)


def _cut(file: Path, start: int) -> None:
    """Drop lines after step `start`, and what is no line of a log, as the last one cut short by a crash.

    Line by line, since what a damaged file holds may be anything.
    """
    if not file.exists() or (file.is_file() and not file.stat().st_size):
        return
    with open_regular(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > MOST_BYTES:
            raise FormatError(f"has {size:,} bytes, more than any log; its lines stay as they are")
        if all(line == kept for line, kept in _lines(opened, start)):
            return
        opened.seek(0)
        with replaced(file) as partial, open(partial, "wb") as written:
            written.writelines(kept for _, kept in _lines(opened, start))


def _lines(file: BinaryIO, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Each line, and what of it stays: all with its end, or nothing."""
    damaged, inside = 0, False
    while line := file.readline(LONGEST_LINE):
        # What goes on behind `LONGEST_LINE` bytes is no line either.
        step = None if inside or len(line) == LONGEST_LINE else _step(line)
        inside = not line.endswith(b"\n")
        damaged += step is None
        if damaged > MOST_DAMAGED:
            raise FormatError(f"holds more than {MOST_DAMAGED:,} lines of no log; its lines stay as they are")
        yield line, line.removesuffix(b"\n") + b"\n" if step is not None and step <= start else b""


def _step(line: bytes) -> int | None:
    """The step of a line of the log; None if it is none."""
    try:
        step = json.loads(line.decode("utf-8"))["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if type(step) is int else None
