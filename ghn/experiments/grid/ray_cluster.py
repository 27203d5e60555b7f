"""Cells computed by a Ray cluster: it places them by processors and GPUs they need, and moves them off lost nodes."""

from __future__ import annotations

import importlib
import os
import re
import socket
import threading
from concurrent.futures import Future
from typing import Any

from ghn.common.optional import require
from ghn.experiments.grid.work import Outcome, Task, compute
from ghn.training.state import StateError
from ghn.training.workers.pool import WorkerKilledError

LOCAL = "local"

REACH_SECONDS = 5.0
"""Within which a head node must answer."""

RETRIES = 5
"""Of a cell whose process or node is lost."""


class RayCluster:
    """A cluster, or one that is started on this machine and ends with this process.

    Args:
        address: `local`, `auto`, `HOST:PORT` or `ray://HOST:PORT`.
        cpus: Processors that a cell needs.
        gpus: GPUs that a cell needs; parts of one are shared.
        slots: Cells under way at a time; None for as many as the cluster has room for.
        threads: Of PyTorch for a cell.

    Raises:
        StateError: In one line, when no cluster answers.
        ValueError: When Ray is not installed.
    """

    def __init__(
        self, address: str, *, cpus: float = 1, gpus: float = 0, slots: int | None = None, threads: int = 1
    ) -> None:
        self._ray: Any = require("ray", "cluster", "a grid on Ray")
        importlib.import_module("ray.exceptions")
        self._connect(address, slots)
        self._lost = (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.NodeDiedError)
        room = self._ray.cluster_resources()
        if gpus > room.get("GPU", 0):
            self._ray.shutdown()
            raise ValueError(f"a cell needs {gpus:g} GPUs, the cluster at {address} has {room.get('GPU', 0):g}")
        most = [int(room.get("CPU", 1) / cpus)] + ([int(room["GPU"] / gpus)] if gpus else [])
        self.slots = slots or max(1, min(most))
        self._remote = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(_compute)
        self._running: dict[Future[Outcome], Any] = {}
        self._guard = threading.Lock()

    def submit(self, task: Task) -> Future[Outcome]:
        reference = self._remote.remote(task)
        future: Future[Outcome] = Future()
        with self._guard:
            self._running[future] = reference
        reference.future().add_done_callback(lambda done: self._ended(done, future))
        return future

    def close(self) -> None:
        with self._guard:
            running = list(self._running.values())
        for reference in running:
            self._ray.cancel(reference)
        if running:
            # Trainings save.
            self._ray.wait(running, num_returns=len(running), timeout=30)
        self._ray.shutdown()

    def _connect(self, address: str, slots: int | None) -> None:
        if not _reachable(address):
            raise StateError(f"no Ray cluster answers at {address}; start one (ray start --head), or take --ray local")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address == LOCAL:
            options |= {"num_cpus": slots or os.cpu_count(), "include_dashboard": False}
        try:
            self._ray.init(address=address, **options)
        except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise StateError(f"no Ray cluster answers at {address} ({line}); start one, or take --ray local") from error

    def _ended(self, done: Future[Any], future: Future[Outcome]) -> None:
        with self._guard:
            self._running.pop(future, None)
        error = done.exception()
        if error is None:
            future.set_result(done.result())
        elif isinstance(error, self._lost):
            future.set_exception(WorkerKilledError(str(error)))
        elif isinstance(error, self._ray.exceptions.TaskCancelledError):
            future.set_result(Outcome(digest="", stopped=True))
        else:
            future.set_exception(error)


def _reachable(address: str) -> bool:
    """Whether something listens at HOST:PORT; Ray itself would try for a minute."""
    found = re.fullmatch(r"(?:ray://)?\[?([^\[\]/]+?)\]?:(\d+)", address)
    if found is None:
        return address in (LOCAL, "auto")
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=REACH_SECONDS):
            return True
    except (OSError, OverflowError):
        return False


def _compute(task: Task) -> Outcome:
    # Ray ends processes of a node that goes by SystemExit; their cells are begun elsewhere.
    return compute(task, exits=True)
