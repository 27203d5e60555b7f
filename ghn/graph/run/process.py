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
from collections.abc import Iterator

import numpy as np
import torch

from ghn.common.private_torch import FAKE_TENSOR_LOG, compiler_is_loaded
from ghn.graph.record.threads import is_recorded

_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def process_untouched() -> Iterator[None]:
    """Context of runs that are the same each time, one at a time, and after which the process is as before."""
    with (
        _ONE_AT_A_TIME,
        torch.inference_mode(False),
        _random_states_restored(),
        _quiet(),
        compiled_parts_eager(),
    ):
        dtype = torch.get_default_dtype()
        try:
            yield
        finally:
            if torch.get_default_dtype() != dtype:
                torch.set_default_dtype(dtype)


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
        return threading.get_ident() == self.owner or is_recorded()

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
