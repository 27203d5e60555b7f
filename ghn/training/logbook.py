"""The record of a run: one JSON object a line, TensorBoard where it is installed, and a progress bar."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ghn.common.files import replaced
from ghn.common.text import printable
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
        length: Of the run, in the words of the progress bar: it follows the number of the step.
        quiet: No progress bar; it is also left out where standard error is no terminal.
        start: Step the run begins or goes on at; lines of the file past it (from before a crash) are removed.
        share: Of the run that is done at the start, where the bar begins.
        speaks: Whether there are lines for people and a bar; by default where there is a folder.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        length: str = "",
        quiet: bool = False,
        start: int = 0,
        share: float = 0.0,
        speaks: bool | None = None,
    ) -> None:
        self.folder = folder
        self._speaks = folder is not None if speaks is None else speaks
        self._board: Any = None
        self._bar: Any = None
        if self._speaks and not quiet and sys.stderr.isatty():
            self._bar = _Bar(length, start, share)
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _cut(folder / FILE, start)
        except FormatError as error:
            self.say(f"{folder / FILE} {error}")
        except OSError as error:
            self.say(f"{folder / FILE} keeps lines after step {start} ({error.strerror})")
        try:
            self._board = _board(folder, start)
        except OSError as error:
            self.say(f"no TensorBoard record ({error.strerror})")

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
            self.say(f"log line of step {step} not written ({error.strerror}): {line}")
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        self._on_board(lambda board: [board.add_scalar(name, value, step) for name, value in numbers.items()])

    def progress(self, step: int, share: float, text: str) -> None:
        """Move the progress bar, where there is one, to a share 0..1 of the run."""
        if self._bar is not None:
            self._bar.update(step, share, text)

    def say(self, text: str) -> None:
        """Print a line (first rank only)."""
        if self._bar is not None:
            self._bar.print(printable(text))
        elif self._speaks:
            print(printable(text), file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the progress bar and flush."""
        if self._bar is not None:
            self._bar.close()
        self._on_board(lambda board: board.close())

    def _on_board(self, action: Callable[[Any], Any]) -> None:
        """Give TensorBoard something to do; one that cannot write is given up."""
        if self._board is None:
            return
        try:
            action(self._board)
        except OSError as error:
            self._board = None
            self.say(f"the TensorBoard record ends here ({error.strerror})")


class _Bar:
    def __init__(self, length: str, start: int, share: float = 0.0) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        steps = TextColumn("{task.fields[step]:,}{task.fields[length]}")
        self._progress = Progress(BarColumn(), steps, TimeRemainingColumn(), TextColumn("{task.description}"))
        self._task = self._progress.add_task("", total=1.0, step=start, length=length)
        self._progress.update(self._task, completed=share)
        self._progress.start()

    def update(self, step: int, share: float, text: str) -> None:
        self._progress.update(self._task, completed=share, step=step, description=text)

    def print(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


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
