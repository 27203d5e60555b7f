"""Processes that do pieces of work beside each other, stop in order, and end with the process that started them."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from ghn.common.parallel.processes import interrupts_held
from ghn.training.signals import StoppedError, on_stop_signal

WATCH_SECONDS = 0.5
"""Time between a worker's looks at whether it shall go on."""


class WorkerKilledError(RuntimeError):
    """The process that did a piece of work is gone; the work may be given to another one.

    Attributes:
        begun: Whether it may have begun; else the process was killed while it had no work, before that was noticed.
    """

    def __init__(self, text: str, *, begun: bool = True) -> None:
        super().__init__(text)
        self.begun = begun


class Pool:
    """Processes, each with one piece of work at a time; one that is killed costs its own piece only, if it had one.

    As a context: at its end processes that work are told to stop (SIGTERM, upon which trainings save), and waited for.

    Args:
        count: Processes; they are started when they are needed.
        given: What each of them gets once, e.g. images; the first argument of every piece of work.
        threads: Of PyTorch, in each.
    """

    def __init__(self, count: int, given: Any = None, *, threads: int = 1) -> None:
        if count < 1:
            raise ValueError(f"workers must be at least 1, not {count}")
        self.slots = count
        self._context = get_context("spawn")  # a fork would inherit threads of libraries
        # Closed it tells all to stop. An event would be waited for without end by who sets it, once a worker that waits
        # for it was killed.
        told, self._line = self._context.Pipe(duplex=False)
        self._given = (given, told, os.getpid(), threads)
        self._free: deque[ProcessPoolExecutor] = deque()
        self._all: set[ProcessPoolExecutor] = set()
        self._begun: dict[ProcessPoolExecutor, Any] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Give a piece of work to a process that has none.

        Args:
            work: A function of a module; called with what the processes were given, then the arguments.
            arguments: Its others.

        Returns:
            Its result. `WorkerKilledError` where the process was killed, `StoppedError` where it was to stop before.

        Raises:
            RuntimeError: When all processes have work.
        """
        if not self._free and len(self._all) >= self.slots:
            raise RuntimeError("all processes of the pool have work")
        process, before, inner = self._begin(work, arguments)
        # Those who wait see the process free again.
        outer: Future[Any] = Future()
        inner.add_done_callback(lambda done: self._ended(process, before, done, outer))
        return outer

    def unordered(self, work: Callable[..., Any], pieces: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of many pieces of work, as they come.

        SIGINT and SIGTERM raise KeyboardInterrupt here.
        """
        left = iter(pieces)
        running: dict[Future[Any], tuple[Any, ...]] = {}
        with on_stop_signal(interrupt):
            while True:
                while len(running) < self.slots and (piece := next(left, None)) is not None:
                    running[self.submit(work, *piece)] = piece
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    piece = running.pop(future)
                    error = future.exception()
                    if isinstance(error, WorkerKilledError) and not error.begun:
                        running[self.submit(work, *piece)] = piece
                    else:
                        yield future.result()

    def close(self) -> None:
        """Stop what is under way, and wait until the processes have ended."""
        self._line.close()
        for process in list(self._all):
            process.shutdown(wait=True, cancel_futures=True)

    def _begin(
        self, work: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[ProcessPoolExecutor, int, Future[Any]]:
        """Who does a piece of work, how many it has begun before, and the result."""
        while True:
            process = self._free.popleft() if self._free else self._new()
            before = self._begun[process].value
            try:
                with interrupts_held():
                    return process, before, process.submit(_work, work, arguments)
            except BrokenProcessPool:
                # Killed while it had no work: none is lost.
                self._let_go(process)

    def _let_go(self, process: ProcessPoolExecutor) -> None:
        self._all.discard(process)
        self._begun.pop(process, None)
        process.shutdown(wait=False)

    def _new(self) -> ProcessPoolExecutor:
        begun = self._context.RawValue("L", 0)
        process = ProcessPoolExecutor(1, mp_context=self._context, initializer=_start, initargs=(*self._given, begun))
        self._all.add(process)
        self._begun[process] = begun
        return process

    def _ended(self, process: ProcessPoolExecutor, before: int, done: Future[Any], outer: Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, BrokenProcessPool):
            # One that ends before its first piece would do so again: that counts as one that it ended with.
            begun = not before or self._begun[process].value > before
            self._let_go(process)
            outer.set_exception(WorkerKilledError("a process that worked was killed", begun=begun))
            return
        self._free.append(process)
        if done.cancelled():
            outer.set_exception(StoppedError("stopped before this piece of work"))
        elif error is not None:
            outer.set_exception(error)
        else:
            outer.set_result(done.result())


def interrupt() -> None:
    """What a signal to stop does to a process that waits for others."""
    raise KeyboardInterrupt


_given: dict[str, Any] = {}
"""What a worker was given, where it hears that it is to stop, and where it counts the pieces that it begins."""


def _start(given: Any, told: Connection, parent: int, threads: int, begun: Any) -> None:
    """Set a worker up: it saves and ends when it is told to, or when its parent has gone."""
    torch.set_num_threads(threads)
    # A terminal's Ctrl-C also reaches workers that wait for work; trainings handle it themselves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _given.update(given=given, told=told, begun=begun)
    threading.Thread(target=_watch, args=(parent, told), daemon=True).start()


def _watch(parent: int, told: Connection) -> None:
    while os.getppid() == parent and not told.poll(WATCH_SECONDS):
        pass
    # A training that is under way takes it as the wish to stop, and saves.
    os.kill(os.getpid(), signal.SIGTERM)


def _work(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    _given["begun"].value += 1
    if _given["told"].poll():
        raise StoppedError("stopped before this piece of work")
    return work(_given["given"], *arguments)
