"""What an evaluation keeps in a folder, so that it goes on after whatever ended it.

`config.json` says what is evaluated; `networks.jsonl` has a line for each network and start, in the order in which they
were finished, from however many processes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ghn.common.files import write_text
from ghn.common.text import said, shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import parse_json, read_json
from ghn.common.untrusted.opening import exists, read_bytes
from ghn.evaluate.config import EvaluationConfig
from ghn.evaluate.results import Key, NetworkResult
from ghn.training.state import StateError

CONFIG_FILE, LINES_FILE = "config.json", "networks.jsonl"

MOST_CONFIG = 1 << 22
"""Bytes."""

MOST_LINES = 1 << 30
"""Bytes: a million networks."""

LONGEST_TAIL = 1 << 16
"""Bytes that an unfinished line may have; sound ones have about a thousand."""


class Journal:
    """An evaluation's folder.

    Args:
        folder: Made if missing.
        config: What is evaluated.
        digests: Of the hypernetwork and the files that each start reads, by start, and of models' files, by model.

    Raises:
        StateError: In one line, if the folder holds another evaluation, or cannot be read or written.
    """

    def __init__(self, folder: Path, config: EvaluationConfig, digests: Mapping[str, str]) -> None:
        self._folder = folder
        self._lines = folder / LINES_FILE
        mine = {"config": config.identity(), "digests": dict(digests)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if exists(folder / CONFIG_FILE):
                self._check(mine)
            else:
                if exists(self._lines):
                    raise StateError(f"{folder} holds networks, and no {CONFIG_FILE}; take another folder")
                write_text(folder / CONFIG_FILE, json.dumps(mine, indent=2) + "\n")
        except (OSError, ValueError) as error:
            if isinstance(error, StateError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise StateError(f"{folder} cannot hold an evaluation ({reason}); take another folder") from error

    def _check(self, mine: Mapping[str, Any]) -> None:
        other = f"{self._folder} holds another evaluation"
        try:
            there = read_json(self._folder / CONFIG_FILE, MOST_CONFIG)
            before, digests = dict(there["config"]), dict(there["digests"])
        except (FormatError, LookupError, TypeError, ValueError) as error:
            raise StateError(f"{other}, or a damaged one ({shown(str(error))}); take another folder") from error
        # As JSON has it: tuples are lists.
        now = json.loads(json.dumps(mine["config"]))
        for name in (*now, *before):
            if name not in before or name not in now or before[name] != now[name]:
                values = f"{name}={said(before.get(name))}, not {said(now.get(name))}"
                raise StateError(f"{other}: {values}; take another folder, or that value")
        if digests != mine["digests"]:
            changed = sorted(
                start for start in {*digests, *mine["digests"]} if digests.get(start) != mine["digests"].get(start)
            )
            raise StateError(
                f"{other}: {shown(changed[0])} reads other files or weights than before; take another folder"
            )

    def finished(self) -> dict[Key, NetworkResult]:
        """The networks that are there; a line cut short, or damaged, is none.

        Raises:
            StateError: If the file cannot be read.
        """
        return read_finished(self._folder)

    def append(self, result: NetworkResult) -> None:
        """Add a network: its whole line is on the disk when this returns.

        Raises:
            StateError: If it cannot be written.
        """
        line = (json.dumps(result.to_dict()) + "\n").encode()
        try:
            descriptor = os.open(self._lines, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                _drop_unfinished(descriptor)
                if os.write(descriptor, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StateError(f"{self._lines} cannot be written ({error.strerror}); what it has stays") from error


def read_finished(folder: Path) -> dict[Key, NetworkResult]:
    """The networks that an evaluation's folder has; see `Journal.finished`."""
    file = folder / LINES_FILE
    found: dict[Key, NetworkResult] = {}
    if not exists(file) or not os.path.getsize(file):
        return found
    try:
        content = read_bytes(file, MOST_LINES)
    except FormatError as error:
        raise StateError(f"{file} {error}; take another folder") from error
    for line in content.split(b"\n"):
        with suppress(ValueError, TypeError):
            result = NetworkResult.from_dict(parse_json(line.decode("utf-8")))
            # What failed is tried again.
            if result.error is None:
                found.setdefault(result.key, result)
    return found


def _drop_unfinished(descriptor: int) -> None:
    """Remove the end of a line that a process was killed in."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, LONGEST_TAIL, max(0, size - LONGEST_TAIL))
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(descriptor, size - len(tail) + tail.rfind(b"\n") + 1)
