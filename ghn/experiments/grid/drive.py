"""A grid from its cells to their results: what is there is used, what others compute is waited for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from ghn.common.optional import versions
from ghn.experiments.grid.cell import Cell
from ghn.experiments.grid.executors import Executor, Here
from ghn.experiments.grid.store import Store
from ghn.experiments.grid.work import Outcome, Task, forget
from ghn.training.signals import StoppedError, on_stop_signal
from ghn.training.state import StateError
from ghn.training.workers.pool import WorkerKilledError, interrupt

ATTEMPTS = 3
"""Of a cell whose process is killed."""

POLL_SECONDS = 1.0
"""Between looks at cells that others compute."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A cell that has come to its end.

    Attributes:
        cell: Which.
        error: Why there is no result.
        here: Whether this grid computed it; else it was there, or another driver did.
        done: Cells at their end.
    """

    cell: Cell
    error: str | None
    here: bool
    done: int


@dataclass(kw_only=True)
class Ran:
    """How a grid went.

    Attributes:
        there: Cells whose results were there, or came from other drivers.
        computed: Cells that were computed.
        errors: Why others have no result, by digest.
    """

    there: int = 0
    computed: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Cells at their end."""
        return self.there + self.computed + len(self.errors)


class InterruptedGridError(StoppedError):
    """A grid was told to stop; finished cells are stored, and the same call goes on."""


class Grid:
    """The run of a grid.

    Args:
        store: Where results are, open.
        executor: Who computes; it stays open.
        device: "cpu" or "cuda", for every cell.
        data_root: Folder that holds data sets.
        threads: Of PyTorch for a cell; numbers depend on them to rounding.
        progress: Called for each cell at its end.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor | None = None,
        *,
        device: str = "cpu",
        data_root: str | None = None,
        threads: int | None = 1,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.store, self.executor = store, executor or Here()
        self._given: dict[str, Any] = {"device": device, "data_root": data_root, "threads": threads}
        self._progress = progress
        self._ran = Ran()
        self._running: dict[Future[Outcome], Cell] = {}
        self._attempts: dict[str, int] = {}
        self._elsewhere: deque[Cell] = deque()
        self._blocked: deque[Cell] = deque()
        self._again: deque[Cell] = deque()
        self._made: set[str] = set()
        self._lost: set[str] = set()
        self._waited: set[tuple[str, str]] = set()

    def run(self, cells: Iterable[Cell]) -> Ran:
        """Compute all cells that have no result yet; each once, those that others need first.

        Args:
            cells: They may be made on the way: no more of them are held than are under way or waited for.

        Returns:
            How many there were, and what failed. A cell that failed is tried again by the next run.

        Raises:
            StateError: When the place does not answer.
            ValueError: When no cell can be, as without the images.
            InterruptedGridError: When it was told to stop.
        """
        self._ran = Ran()
        self._waited.clear()
        left = _each_once(cells)
        try:
            with on_stop_signal(interrupt) if self.executor.slots > 1 else nullcontext():
                while self._fill(left) or self._running:
                    self._collect()
        except (KeyboardInterrupt, StoppedError) as error:
            done = f"{self._ran.done:,} cell{'s' if self._ran.done != 1 else ''}"
            raise InterruptedGridError(f"stopped after {done}; the same command goes on") from error
        return self._ran

    def _fill(self, left: Iterator[Cell]) -> bool:
        """Begin as many cells as there is room for; whether any are to be waited for."""
        while len(self._running) < self.executor.slots:
            cell = self._next(left)
            if cell is None:
                break
            self._begin(cell)
        return bool(self._elsewhere or self._blocked or self._again)

    def _next(self, left: Iterator[Cell]) -> Cell | None:
        for waiting in (self._again, self._blocked):
            for _ in range(len(waiting)):
                cell = waiting.popleft()
                if self._ready(cell) and (waiting is self._again or self._may_begin(cell)):
                    return cell
        for cell in left:
            if cell.digest in self.store:
                self._ended(cell, here=False)
            elif self._ready(cell) and self._may_begin(cell):
                return cell
        return None

    def _ready(self, cell: Cell) -> bool:
        """Whether what a cell needs is there; else it is put off, or fails with what it needs."""
        failed = next((need for need in cell.needs.values() if need.digest in self._ran.errors), None)
        if failed is not None:
            self._failed(cell, f"what it needs failed: {self._ran.errors[failed.digest]}")
            return False
        if all(need.digest in self.store for need in cell.needs.values()):
            return True
        self._blocked.append(cell)
        return False

    def _may_begin(self, cell: Cell) -> bool:
        if self.store.claim(cell.digest):
            return True
        if cell.digest in self.store:
            self._ended(cell, here=False)
        else:
            self._elsewhere.append(cell)
        return False

    def _begin(self, cell: Cell) -> None:
        task = Task(
            digest=cell.digest,
            kind=cell.kind,
            settings=cell.settings,
            seed=cell.seed,
            needs={name: need.digest for name, need in cell.needs.items()},
            place=self.store.place,
            **self._given,
        )
        self._running[self.executor.submit(task)] = cell

    def _collect(self) -> None:
        """Wait for a cell under way, or for those of others."""
        if not self._running:
            with on_stop_signal(interrupt):
                time.sleep(POLL_SECONDS)
        done, _ = wait(self._running, timeout=POLL_SECONDS if self._elsewhere else None, return_when=FIRST_COMPLETED)
        for future in done:
            self._take(self._running.pop(future), future)
        if self._elsewhere and not done:
            self.store.refresh()
            for _ in range(len(self._elsewhere)):
                self._again_or_done(self._elsewhere.popleft())

    def _again_or_done(self, cell: Cell) -> None:
        """Of a cell that another driver had claimed."""
        if cell.digest in self.store:
            self._ended(cell, here=False)
        elif self.store.claim(cell.digest):
            self._again.append(cell)
        else:
            self._elsewhere.append(cell)

    def _take(self, cell: Cell, future: Future[Outcome]) -> None:
        try:
            outcome = future.result()
        except WorkerKilledError as error:
            self._attempts[cell.digest] = self._attempts.get(cell.digest, 0) + error.begun
            if self._attempts[cell.digest] < ATTEMPTS:
                self._again.append(cell)
            else:
                text = f"its process was killed {ATTEMPTS} times; is there memory enough? ({error})"
                self._failed(cell, text)
            return
        if outcome.stopped:
            raise StoppedError("a cell was stopped")
        if outcome.lost is not None and self._put_off(cell, outcome.lost):
            return
        if outcome.error is not None:
            if outcome.fatal:
                raise StateError(outcome.error)
            self._failed(cell, outcome.error)
            return
        self._store(cell, outcome)
        self._ended(cell, here=True)

    def _put_off(self, cell: Cell, lost: str) -> bool:
        """Let a cell wait until what it needs, which was removed, is there again; whether that may help.

        It is tried once more in any case: its process may have looked before, or on another machine. What this grid has
        computed is not computed again: it is on a machine that others do not see.
        """
        need = next((need for need in cell.needs.values() if need.digest == lost), None)
        if need is None or (cell.digest, lost) in self._waited:
            return False
        self._waited.add((cell.digest, lost))
        if lost not in self._made and lost in self.store and self.store.lose(lost):
            self._ran.there -= 1
            self._lost.add(lost)
            self._blocked.append(need)
        self.store.release(cell.digest)
        self._blocked.append(cell)
        return True

    def _store(self, cell: Cell, outcome: Outcome) -> None:
        # Of what is only made again, what was found first stays.
        before = next(self.store.records([cell.digest]), None) if cell.digest in self._lost else None
        self.store.finish(before or record_of(cell, outcome))
        forget(self.store.place, cell.digest)
        self._made.add(cell.digest)

    def _failed(self, cell: Cell, error: str) -> None:
        self.store.release(cell.digest)
        self._ran.errors[cell.digest] = error
        self._tell(cell, error, here=True)

    def _ended(self, cell: Cell, *, here: bool) -> None:
        if here:
            self._ran.computed += 1
        else:
            self._ran.there += 1
        self._tell(cell, None, here=here)

    def _tell(self, cell: Cell, error: str | None, *, here: bool) -> None:
        if self._progress is not None:
            self._progress(Progress(cell=cell, error=error, here=here, done=self._ran.done))


def record_of(cell: Cell, outcome: Outcome) -> dict[str, Any]:
    """What is stored of a finished cell."""
    return {
        "digest": cell.digest,
        "kind": cell.kind,
        "settings": dict(cell.settings),
        "seed": cell.seed,
        "needs": {name: need.digest for name, need in cell.needs.items()},
        "value": outcome.value,
        "times": {name: round(seconds, 4) for name, seconds in outcome.times.items()},
        "versions": _versions(),
    }


_known_versions: dict[str, str] = {}


def _versions() -> dict[str, str]:
    # Looked up once: it takes a millisecond.
    if not _known_versions:
        _known_versions.update(versions())
    return _known_versions


def _each_once(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Cells and those they need, each of these first, none twice."""
    seen: set[bytes] = set()

    def with_needs(cell: Cell) -> Iterator[Cell]:
        if (key := bytes.fromhex(cell.digest)) not in seen:
            seen.add(key)
            for need in cell.needs.values():
                yield from with_needs(need)
            yield cell

    for cell in cells:
        yield from with_needs(cell)
