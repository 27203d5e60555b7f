"""The record of a run: one JSON object a line, TensorBoard where it is installed, and a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "log.jsonl"


class Logbook:
    """Writes the record; only the first rank of a run has a folder, the others write nothing.

    Args:
        folder: The run's folder, or None to write nothing.
        steps: Length of the progress bar.
        quiet: No progress bar; it is also left out where standard error is no terminal.
        start: Step the run begins or goes on at; lines of the file past it (from before a crash) are removed.
    """

    def __init__(self, folder: Path | None, *, steps: int, quiet: bool = False, start: int = 0) -> None:
        self.folder = folder
        self._board: Any = None
        self._bar: Any = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        _cut(folder / FILE, start)
        self._board = _board(folder, start)
        if not quiet and sys.stderr.isatty():
            self._bar = _Bar(steps, start)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Record `values` at `step`; numbers go to TensorBoard as well.

        A full disk must not end the run: the line is then only printed.
        """
        if self.folder is None:
            return
        line = json.dumps({"step": step, **values})
        try:
            with open(self.folder / FILE, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self.say(f"log line of step {step} not written ({error.strerror}): {line}")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(name, value, step)

    def progress(self, step: int, text: str) -> None:
        """Move the progress bar, where there is one."""
        if self._bar is not None:
            self._bar.update(step, text)

    def say(self, text: str) -> None:
        """Print a line (first rank only)."""
        if self._bar is not None:
            self._bar.print(text)
        elif self.folder is not None:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the progress bar and flush."""
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()


class _Bar:
    def __init__(self, steps: int, start: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns)
        self._task = self._progress.add_task("", total=steps, completed=start)
        self._progress.start()

    def update(self, step: int, text: str) -> None:
        self._progress.update(self._task, completed=step, description=text)

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


def _cut(file: Path, start: int) -> None:
    """Drop lines after step `start`, and a last line cut short by a crash."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            step = json.loads(line)["step"]
        except (ValueError, KeyError, TypeError):
            continue
        if step <= start:
            kept.append(line + "\n")
    file.write_text("".join(kept), encoding="utf-8")
