"""Processes that prepare data for a training: they outlast the signals that it handles, and end when it has gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

import torch

ORPHAN_SECONDS = 2.0
"""Time between a worker's looks at whether the training process still runs."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Context in which to start processes: Ctrl-C is blocked in them from their first instruction on.

    A terminal sends it to every process of a job, also to those that still import their libraries and would end with a
    traceback. Here it comes after the block.
    """
    resource_tracker.ensure_running()  # which would unblock it, were it started by the first process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(_: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: one thread; Ctrl-C and SIGTERM are the training process's affair.

    Terminals, job schedulers and `timeout` send these to every process of a job. The training finishes its step and
    saves, for which it needs its workers. A SIGTERM from the training process itself still ends the worker. Where the
    system cannot tell who sent one (macOS), any does.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent has gone, or asks for it.

    PyTorch's workers would hang where the parent was killed: they notice, but then wait until what they have made is
    read from a pipe that nobody reads.
    """
    while os.getppid() == parent:
        if not hasattr(signal, "sigtimedwait"):
            time.sleep(ORPHAN_SECONDS)
            continue
        received = signal.sigtimedwait({signal.SIGTERM}, ORPHAN_SECONDS)
        if received is not None and received.si_pid == parent:
            # Not an error, for PyTorch would raise in the parent.
            os._exit(0)
    os._exit(1)


def share(count: int, rank: int, world_size: int) -> range:
    """Which of `count` things are those of process `rank` among `world_size`, as evenly as can be.

    Raises:
        ValueError: When there is no such process, or one would get none.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be between 0 and {world_size - 1}, not {rank}")
    if count < world_size:
        raise ValueError(f"{count} networks cannot be shared by {world_size} processes; raise meta_batch")
    return range(rank * count // world_size, (rank + 1) * count // world_size)
