"""What a process has once, while a model runs: random states, warnings, logs, switches, and one run at a time.

Other threads may train or predict meanwhile. Where PyTorch allows, they notice nothing: what is changed is changed for
the threads that are recorded alone.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import operator
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch

from ghn.common.private_torch import (
    FAKE_TENSOR_LOG,
    compiler_is_loaded,
    default_device,
    enable_mkldnn,
    leave_modes,
    mkldnn_is_enabled,
    mode_levels,
    print_options,
    set_print_options,
    without_modes,
)
from ghn.graph.record.recorder import TURNS
from ghn.graph.record.threads import REPLACED
from ghn.graph.run.depth import is_room_needed

Result = TypeVar("Result")

_ONE_AT_A_TIME = threading.RLock()


def interruptible(function: Callable[[], Result]) -> Result:
    """The result of a function that traces; where it is interrupted, at any instant, this thread records no longer.

    A context ends what it began, unless an interrupt comes just when it begins or ends; here is asked for what is left.
    """
    outer = TURNS.current
    with _ONE_AT_A_TIME if outer is None else outer.tracing_inside:
        restore = _restoring()
        try:
            # Once more where that is interrupted itself.
            try:
                return function()
            except BaseException:
                restore()
                raise
        except BaseException:
            restore()
            raise


def _restoring() -> Callable[[], None]:
    """What sets back all that contexts of tracing set, as far as it differs from what it is now."""
    turns, modes, gradients = TURNS.level, mode_levels(), torch.is_grad_enabled()
    python, numpy = random.getstate(), np.random.get_state()
    methods = [(kind, name, getattr(kind, name)) for kind, name in REPLACED]
    filters, log = list(warnings.filters), logging.getLogger(FAKE_TENSOR_LOG)
    log_filters, ours = list(log.filters), _OfRecordedThreads

    def restore() -> None:
        leave_modes(modes)
        TURNS.back_to(turns)
        torch.set_grad_enabled(gradients)
        for kind, name, method in methods:
            if getattr(kind, name) is not method:
                setattr(kind, name, method)
        random.setstate(python)
        np.random.set_state(numpy)
        for entry in [entry for entry in warnings.filters if isinstance(entry[1], ours)]:
            if entry not in filters:
                warnings.filters.remove(entry)  # type: ignore[attr-defined]
        log.filters[:] = [entry for entry in log.filters if entry in log_filters or not isinstance(entry, ours)]

    return restore


@contextlib.contextmanager
def process_untouched() -> Iterator[None]:
    """Context of runs that are the same each time, one at a time, and after which the process is as before.

    A forward pass that is recorded, or a thread that it starts, may trace another model: it is part of the run.
    """
    outer = TURNS.current
    with (
        _ONE_AT_A_TIME if outer is None else outer.tracing_inside,
        TURNS.within(None),
        without_modes() if mode_levels()[0] else contextlib.nullcontext(),
        torch.inference_mode(False),
        _random_states_restored(),
        _quiet(),
        _switches_restored(),
    ):
        yield


_PAIRS = (
    ("get_default_dtype", "set_default_dtype"),
    ("get_num_threads", "set_num_threads"),
    ("is_anomaly_enabled", "autograd.set_detect_anomaly"),
    ("get_deterministic_debug_mode", "set_deterministic_debug_mode"),
    ("is_warn_always_enabled", "set_warn_always"),
    ("is_autocast_cache_enabled", "set_autocast_cache_enabled"),
    ("get_float32_matmul_precision", "set_float32_matmul_precision"),
    ("backends.mha.get_fastpath_enabled", "backends.mha.set_fastpath_enabled"),
    ("backends.cuda.flash_sdp_enabled", "backends.cuda.enable_flash_sdp"),
    ("backends.cuda.mem_efficient_sdp_enabled", "backends.cuda.enable_mem_efficient_sdp"),
    ("backends.cuda.math_sdp_enabled", "backends.cuda.enable_math_sdp"),
    ("backends.cuda.cudnn_sdp_enabled", "backends.cuda.enable_cudnn_sdp"),
    ("backends.cuda.fp16_bf16_reduction_math_sdp_allowed", "backends.cuda.allow_fp16_bf16_reduction_math_sdp"),
    ("__future__.get_overwrite_module_params_on_conversion", "__future__.set_overwrite_module_params_on_conversion"),
    ("__future__.get_swap_module_params_on_conversion", "__future__.set_swap_module_params_on_conversion"),
)
"""Functions of PyTorch that ask for, and set, what a forward pass may set for the whole process."""

_ATTRIBUTES = (
    *("utils.deterministic.fill_uninitialized_memory", "backends.opt_einsum.enabled", "backends.opt_einsum.strategy"),
    *("backends.cudnn.enabled", "backends.cudnn.benchmark", "backends.cudnn.deterministic"),
    *("backends.cuda.matmul.allow_fp16_reduced_precision_reduction", "backends.cuda.matmul.allow_fp16_accumulation"),
    *("backends.cuda.matmul.allow_bf16_reduced_precision_reduction", "backends.quantized.engine"),
    *("backends.cuda.matmul.allow_tf32", "backends.cudnn.allow_tf32", "backends.mkldnn.allow_tf32"),
    # Newer names of the same, which are set last: they tell more than the older ones.
    *("backends.fp32_precision", "backends.cuda.matmul.fp32_precision", "backends.cudnn.fp32_precision"),
    *("backends.cudnn.conv.fp32_precision", "backends.cudnn.rnn.fp32_precision", "backends.mkldnn.fp32_precision"),
    *("backends.mkldnn.matmul.fp32_precision", "backends.mkldnn.conv.fp32_precision"),
    *("backends.mkldnn.rnn.fp32_precision", "backends.mkldnn.deterministic"),
)
"""Attributes of PyTorch that are such switches."""

_DEVICES = ("cpu", "cuda")

Switch = tuple[Callable[[], Any], Callable[[Any], Any]]
_MISSING = object()


@functools.cache
def _switches() -> tuple[Switch, ...]:
    """How to ask for each switch, and how to set it; those that this version of PyTorch has not are left out."""
    found: list[Switch] = []
    for names in _PAIRS:
        with contextlib.suppress(AttributeError):
            ask, put = (operator.attrgetter(name)(torch) for name in names)
            found.append((ask, put))
    for name in _ATTRIBUTES:
        path, _, last = name.rpartition(".")
        with contextlib.suppress(AttributeError):
            holder = operator.attrgetter(path)(torch)
            found.append((functools.partial(getattr, holder, last), functools.partial(setattr, holder, last)))
    for device in _DEVICES:
        for asked, set_ in (
            (torch.is_autocast_enabled, torch.set_autocast_enabled),
            (torch.get_autocast_dtype, torch.set_autocast_dtype),
        ):
            found.append((functools.partial(asked, device), functools.partial(set_, device)))
    found += [
        (default_device, torch.set_default_device),
        (mkldnn_is_enabled, enable_mkldnn),
        (print_options, set_print_options),
        (np.get_printoptions, lambda options: np.set_printoptions(**options)),
        (np.geterr, lambda handled: np.seterr(**handled)),
        (gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
        (_recursion_limit, _set_recursion_limit),
        (os.getcwd, os.chdir),
        (lambda: dict(os.environ), _set_environment),
    ]
    return tuple(found)


def _ask(switch: Switch) -> Any:
    # Some names cannot be asked for where others are set to what they do not know; folders may be gone.
    try:
        return switch[0]()
    except (AttributeError, RuntimeError, OSError):
        return _MISSING


def _recursion_limit() -> Any:
    """None while threads with larger stacks need another one, and set it back themselves."""
    return None if is_room_needed() else sys.getrecursionlimit()


def _set_recursion_limit(limit: int | None) -> None:
    if limit is not None and not is_room_needed():
        sys.setrecursionlimit(limit)


def _set_environment(variables: dict[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


@contextlib.contextmanager
def _switches_restored() -> Iterator[None]:
    before = [(switch, _ask(switch)) for switch in _switches()]
    try:
        yield
    finally:
        # Others may set theirs meanwhile: only what differs is set.
        for switch, value in before:
            if value is not _MISSING and _ask(switch) != value:
                with contextlib.suppress(RuntimeError, OSError):
                    switch[1](value)


@contextlib.contextmanager
def _random_states_restored() -> Iterator[None]:
    # PyTorch's numbers come from the recorder's own generator, so its state changes only where models set it.
    python, numpy = random.getstate(), np.random.get_state()
    generators = [torch.default_generator, *(torch.cuda.default_generators if torch.cuda.is_initialized() else ())]
    pytorch = [(generator, generator.get_state()) for generator in generators]
    try:
        random.seed(0)
        np.random.seed(0)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for generator, state in pytorch:
            if not torch.equal(generator.get_state(), state):
                generator.set_state(state)


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
    filters, before = warnings.filters, list(warnings.filters)
    log = logging.getLogger(FAKE_TENSOR_LOG)
    filters.insert(0, entry)  # type: ignore[attr-defined]
    log.addFilter(ours)
    try:
        yield
    finally:
        log.removeFilter(ours)
        if warnings.filters is filters:
            # Else another thread, in the middle of `catch_warnings`, puts them back itself.
            filters[:] = before  # type: ignore[index]
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
