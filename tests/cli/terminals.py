"""Runs the command in a terminal of its own, as a user sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

PRELOADED = ["ghn.cli", "tyro", "rich.progress", "rich.table"]
"""Loaded once for all commands that run in a terminal: each takes a moment then."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a terminal showed.

    Attributes:
        code: The command's.
        text: All that was written, with what moves the cursor.
        first: Seconds until anything was.
    """

    code: int
    text: str
    first: float

    @property
    def lines(self) -> list[str]:
        """Without colours; what was written over a line is a line of its own."""
        import re

        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)
        return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


def in_a_terminal(
    *words: str,
    columns: int = 80,
    environment: dict[str, str] | None = None,
    folder: str = ".",
    interrupt: Callable[[str], bool] | None = None,
) -> Seen:
    """Run `ghn` with these words in a terminal.

    Args:
        words: Without the program's name.
        columns: Width.
        environment: Variables besides those of this process.
        folder: Where it runs.
        interrupt: Says of all that was written whether Ctrl-C is to be typed now; once.
    """
    context: Any = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **(environment or {})}
    process = context.Process(target=_run, args=(os.ttyname(theirs), list(words), variables, folder))
    process.start()
    began, first, text = time.monotonic(), float("nan"), b""
    while process.is_alive() or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.05)[0]:
            part = os.read(ours, 1 << 16)
            first = time.monotonic() - began if not text else first
            text += part
        if interrupt is not None and interrupt(text.decode("utf-8", "replace")):
            interrupt = None
            os.write(ours, b"\x03")
        assert time.monotonic() - began < 120, text[-2000:].decode("utf-8", "replace")
    process.join()
    os.close(ours)
    # Not before: a terminal that nobody has open is at its end.
    os.close(theirs)
    return Seen(code=process.exitcode, text=text.decode("utf-8", "replace"), first=first)


def _run(terminal: str, words: list[str], variables: dict[str, str], folder: str) -> None:
    """What the new process does: take the terminal, then be the command."""
    import signal
    import sys

    os.setsid()
    opened = os.open(terminal, os.O_RDWR)
    with suppress(OSError):
        fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
    for descriptor in (0, 1, 2):
        os.dup2(opened, descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        os.environ.pop(name, None)
    os.environ.update(variables)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from ghn.cli import main

    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
