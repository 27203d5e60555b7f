"""What a process has once, while a model runs: random states, warnings, logs, stances, and one run at a time.

Other threads may train or predict meanwhile. Where PyTorch allows, they notice nothing: what is changed is changed for
the threads that are recorded alone.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from ghn.common.private_torch import FAKE_TENSOR_LOG, compiler_is_loaded, without_modes
from ghn.graph.record.recorder import TURNS

_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def process_untouched() -> Iterator[None]:
    """Context of runs that are the same each time, one at a time, and after which the process is as before.

    A forward pass that is recorded, or a thread that it starts, may trace another model: it is part of the run.
    """
    outer = TURNS.current
    with (
        _ONE_AT_A_TIME if outer is None else outer.tracing_inside,
        TURNS.within(None),
        contextlib.nullcontext() if outer is None else without_modes(),
        torch.inference_mode(False),
        _random_states_restored(),
        _quiet(),
        _switches_restored(),
    ):
        yield


_SWITCHES: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp),
    (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp),
    (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
    (torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp),
)
"""What a forward pass may set for the whole process: how to ask for it, and how to set it."""


@contextlib.contextmanager
def _switches_restored() -> Iterator[None]:
    before = [ask() for ask, _ in _SWITCHES]
    try:
        yield
    finally:
        # Others may set theirs meanwhile: only what differs is set.
        for (ask, put), value in zip(_SWITCHES, before, strict=True):
            if ask() != value:
                put(value)


@contextlib.contextmanager
def _random_states_restored() -> Iterator[None]:
    # PyTorch's numbers come from the recorder's own generator, so its state changes only where models set it.
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        random.seed(0)
        np.random.seed(0)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if not torch.equal(torch.default_generator.get_state(), pytorch):
            torch.default_generator.set_state(pytorch)


class _OfRecordedThreads(logging.Filter):
    """Matches any warning, and drops any entry of a log, of this thread and those whose operators are recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = threading.get_ident()

    def match(self, text: str) -> bool:
        """Whether a warning is to be ignored; asked by `warnings` in the place of a regular expression."""
        return threading.get_ident() == self.owner or TURNS.current is not None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether an entry is to be logged."""
        return not self.match("")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings: what a forward pass warns of would come again, and better, when the user runs it.

    Nor pages of log about operators that fake tensors do not serve; the next rung is tried anyway.
    """
    ours = _OfRecordedThreads()
    # `catch_warnings` would put back filters that other threads have changed in the meantime.
    entry = ("ignore", ours, Warning, None, 0)
    filters = warnings.filters
    log = logging.getLogger(FAKE_TENSOR_LOG)
    filters.insert(0, entry)  # type: ignore[attr-defined]
    log.addFilter(ours)
    try:
        yield
    finally:
        log.removeFilter(ours)
        for held in (filters, warnings.filters):
            if entry in held:
                held.remove(entry)  # type: ignore[attr-defined]


@contextlib.contextmanager
def compiled_parts_eager() -> Iterator[None]:
    """Compiled modules run as they were written: nobody wants the tracer compiled."""
    if compiler_is_loaded() and hasattr(torch.compiler, "set_stance"):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield
