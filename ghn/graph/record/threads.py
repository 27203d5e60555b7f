"""Record what a model runs in threads that it starts.

Modes that see operators belong to one thread: what a forward pass hands to other threads would be lost to the record.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import nn

from ghn.common.private_torch import OperatorMode
from ghn.graph.record.recorder import TURNS, Recorder
from ghn.graph.record.recurrent import RecordedFunctions

REPLACED = ((threading.Thread, "start"), (ThreadPoolExecutor, "submit"), (nn.Module, "__call__"))
"""Methods that others take the places of in `followed`."""


class _Follower(OperatorMode):
    """Hands the operators of another thread to the recorder (a mode can be entered by one thread only)."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self.recorder.__torch_dispatch__(func, types, args, kwargs)


@contextlib.contextmanager
def followed(recorder: Recorder) -> Iterator[None]:
    """Context in which threads and tasks of executors that this thread, or one that it started, starts are recorded.

    So are modules that any thread calls with what the recorder knows. What else other threads do is left alone.
    """
    submitting: set[int] = set()
    start, submit, call = threading.Thread.start, ThreadPoolExecutor.submit, nn.Module.__call__

    def following(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            # A task may run in the thread that handed it over.
            if TURNS.current is recorder:
                return function(*args, **kwargs)
            with TURNS.within(recorder), torch.no_grad(), _Follower(recorder), RecordedFunctions(recorder):
                return function(*args, **kwargs)

        return run

    def start_followed(thread: threading.Thread) -> None:
        # Workers of an executor may outlive the record: their tasks are followed, they are not.
        if TURNS.current is recorder and threading.get_ident() not in submitting:
            thread.run = following(thread.run)  # type: ignore[method-assign]
        start(thread)

    def submit_followed(
        executor: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        this = threading.get_ident()
        if TURNS.current is not recorder:
            return submit(executor, function, *args, **kwargs)
        submitting.add(this)
        try:
            return submit(executor, following(function), *args, **kwargs)
        finally:
            submitting.discard(this)

    def call_followed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        # A thread that was started before may serve the forward pass: what it is handed tells.
        if TURNS.current is not None or not recorder.knows_any((args, kwargs)):
            return call(module, *args, **kwargs)
        return following(call)(module, *args, **kwargs)

    threading.Thread.start = start_followed  # type: ignore[assignment, method-assign]
    ThreadPoolExecutor.submit = submit_followed  # type: ignore[assignment, method-assign]
    nn.Module.__call__ = call_followed  # type: ignore[method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[assignment, method-assign]
        ThreadPoolExecutor.submit = submit  # type: ignore[assignment, method-assign]
        nn.Module.__call__ = call  # type: ignore[method-assign]
