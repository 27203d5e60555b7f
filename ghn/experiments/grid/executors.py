"""Who computes cells: this process, or several on this machine. `ghn.experiments.grid.ray_cluster` has a cluster."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from ghn.experiments.grid.work import Outcome, Task, compute
from ghn.training.workers.pool import Pool


class Executor(Protocol):
    """Computes cells.

    Attributes:
        slots: Cells under way at a time.
    """

    slots: int

    def submit(self, task: Task) -> Future[Outcome]:
        """Begin with a cell; a `WorkerKilledError` as its result means that it may be begun again."""
        ...

    def close(self) -> None:
        """Stop what is under way; what trainings did is saved."""
        ...


class Here:
    """This process: `submit` returns when the cell is computed."""

    slots = 1

    def submit(self, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(compute(task))
        return future

    def close(self) -> None:
        """Nothing is under way."""


class Processes:
    """Several processes of this machine; one that is killed costs the time of its own cell.

    Args:
        count: Processes.
        threads: Of PyTorch in each.
    """

    def __init__(self, count: int, threads: int = 1) -> None:
        self._pool = Pool(count, threads=threads)
        self.slots = count

    def submit(self, task: Task) -> Future[Outcome]:
        return self._pool.submit(_compute, task)

    def close(self) -> None:
        self._pool.close()


def _compute(_: Any, task: Task) -> Outcome:
    return compute(task)
