"""The logs of trainings below a folder, read as they grow.

A last line may be half written, and a training that goes on after a kill replaces its log by
a shorter one. What is no line of a log is left out.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghn.common.text import printable
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import open_regular
from ghn.training.logbook import FILE, LONGEST_LINE

MOST_LOGS = 100
"""That are shown: the ones written to last."""

MOST_POINTS = 4000
"""Of a curve that are kept; every second one goes when there are more."""

MOST_SHOWN = 500
"""Of a curve that are shown."""

MOST_CURVES = 60
"""Quantities of a log."""

MOST_READ = 64 << 20
"""Bytes that are read at once from one log; the rest follows the next time."""


@dataclass(kw_only=True)
class Curve:
    """A quantity over training steps; of each point its step and value, None where it was not finite."""

    steps: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        """Add a point; thins the curve where it has too many."""
        self.steps.append(step)
        self.values.append(value if math.isfinite(value) else None)
        if len(self.steps) > MOST_POINTS:
            # The first one stays, and the last one may go: the next takes its place.
            del self.steps[1::2], self.values[1::2]

    def shown(self) -> tuple[list[int], list[float | None]]:
        """At most `MOST_SHOWN` of the points, evenly taken, the last among them."""
        count = len(self.steps)
        if count <= MOST_SHOWN:
            return self.steps, self.values
        chosen = [round(place * (count - 1) / (MOST_SHOWN - 1)) for place in range(MOST_SHOWN)]
        return [self.steps[at] for at in chosen], [self.values[at] for at in chosen]


class Log:
    """One log, of which only what is new is read.

    Args:
        path: The file.

    Attributes:
        curves: By quantity, in the order in which they appeared.
        changed: When it was last written to, in seconds since 1970.
        dropped: Lines that are none of a log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._restart(0)

    def _restart(self, file: int) -> None:
        self._file, self._read, self._rest = file, 0, b""
        self._inside = False  # of a line that is too long
        self.curves: dict[str, Curve] = {}
        self.changed = 0.0
        self.dropped = 0

    def refresh(self) -> None:
        """Read what was added; all of it anew where the file is another one, or shorter. Does nothing if it cannot."""
        try:
            with open_regular(self.path) as opened:
                status = os.fstat(opened.fileno())
                if status.st_ino != self._file or status.st_size < self._read:
                    self._restart(status.st_ino)
                self.changed = status.st_mtime
                opened.seek(self._read)
                content = opened.read(MOST_READ)
        except (OSError, FormatError):
            return
        self._read += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            self._take(b"" if self._inside else line)
            self._inside = False
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._inside = b"", True

    def _take(self, line: bytes) -> None:
        """Note the numbers of a line."""
        try:
            if len(line) > LONGEST_LINE:
                raise ValueError("too long")
            values = json.loads(line.decode("utf-8"))
            step = values["step"]
            if type(step) is not int or not 0 <= step < 1 << 52:
                raise ValueError("no step")
        except (ValueError, KeyError, TypeError, RecursionError):
            self.dropped += 1
            return
        for name, value in values.items():
            if name == "step" or isinstance(value, bool) or not isinstance(value, int | float | None):
                continue
            if name in self.curves or len(self.curves) < MOST_CURVES:
                self.curves.setdefault(name, Curve()).add(step, _number(value))


def _number(value: float | int | None) -> float:
    """A number of a log: null stands for what was not finite."""
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.nan


class Logs:
    """All logs below a folder.

    Args:
        folder: The folder of a training or a comparison, or one with several.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._logs: dict[Path, Log] = {}

    def document(self) -> dict[str, Any]:
        """What the page shows, as plain values for JSON; reads what was added since the last time."""
        paths = sorted(_found(self.folder), key=_last_change, reverse=True)
        self._logs = {path: self._logs.get(path) or Log(path) for path in paths[:MOST_LOGS]}
        for log in self._logs.values():
            log.refresh()
        return {
            "folder": printable(str(self.folder)),
            "left_out": max(0, len(paths) - MOST_LOGS),
            "runs": [
                {
                    "name": run_name(path.parent, self.folder),
                    "changed": log.changed,
                    "dropped": log.dropped,
                    "curves": {printable(name): curve.shown() for name, curve in log.curves.items()},
                }
                for path, log in sorted(self._logs.items())
            ],
        }


def _found(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        # What is being written, and what others put aside.
        folders[:] = [name for name in folders if not name.startswith(".")]
        if FILE in files:
            yield Path(place, FILE)


def _last_change(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def run_name(run: Path, folder: Path) -> str:
    """A run's place below the folder, without the digests that tell starts of the same name apart."""
    parts = [re.sub(r"-[0-9a-f]{8}$", "", part) for part in run.relative_to(folder).parts]
    return printable(" / ".join(parts) or folder.resolve().name or str(folder))
