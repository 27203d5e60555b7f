"""How far trainings in other processes are: each says so in its folder, and one shows them all."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ghn.common.progress import Bar

FILE = "share"

TELL_SECONDS = 0.5
"""Least time between two shares that are told, and time between looks at them."""

Place = tuple[str, int]
"""A start and a seed."""


def folder_of(folder: Path, init: str, seed: int) -> Path:
    """Where a cell is kept: readable, and of its own for every start."""
    readable = re.sub(r"[^\w.+-]+", "-", init)[:60].strip("-.")
    digest = hashlib.sha256(init.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return folder / f"{readable}-{digest}" / f"seed-{seed}"


class Told(Bar):
    """A bar that shows nothing, but says in a folder how far it is.

    Args:
        folder: Made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(quiet=True)
        self._file, self._told = folder / FILE, -TELL_SECONDS

    def move(self, share: float, count: str, text: str) -> None:
        """Say so, where the last time is a while ago; a disk that is full must not end a training."""
        if time.monotonic() - self._told < TELL_SECONDS:
            return
        self._told = time.monotonic()
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(f"{share:.6f}", encoding="ascii")


def told(folder: Path) -> float:
    """The share that a folder's training said last; 0 where it said none."""
    try:
        share = float((folder / FILE).read_bytes()[:32])
    except (OSError, ValueError):
        return 0.0
    return share if 0 <= share <= 1 else 0.0


@contextmanager
def watched(folder: Path, places: Sequence[Place], done: Collection[Place], bar: Bar) -> Iterator[None]:
    """Context in which a bar shows how far the trainings of other processes are.

    Args:
        folder: That of the comparison.
        places: What is trained.
        done: What of it has ended; it grows meanwhile.
        bar: Has these as its pieces.
    """
    ended = threading.Event()
    homes = {place: folder_of(folder, *place) for place in places}
    for home in homes.values():
        # Of one that was killed.
        with suppress(OSError):
            (home / FILE).unlink(missing_ok=True)

    def look() -> None:
        while not ended.wait(TELL_SECONDS):
            shares = [told(home) for place, home in homes.items() if place not in done]
            under_way = [share for share in shares if share]
            if under_way:
                bar.partly(sum(under_way), f"{len(under_way)} under way")

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
