"""Going on without memory."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch

from ghn.training.memory import is_out_of_memory, most_memory_gb, unless_out_of_memory


def really_too_much() -> RuntimeError:
    """What PyTorch raises on the CPU."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    return caught.value


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (really_too_much(), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("out of range"), False),
    ],
)
def test_what_counts_as_a_lack_of_memory(error: RuntimeError, lacks: bool) -> None:
    def fail() -> None:
        raise error

    assert is_out_of_memory(error) == lacks
    if lacks:
        assert unless_out_of_memory(fail) is None
        return
    with pytest.raises(RuntimeError) as caught:
        unless_out_of_memory(fail)
    assert caught.value is error


def test_errors_of_other_kinds_go_through() -> None:
    with pytest.raises(ZeroDivisionError):
        unless_out_of_memory(lambda: 1 / 0)


def test_what_is_given_arrives_and_what_comes_out_is_returned() -> None:
    assert unless_out_of_memory(divmod, 7, 2) == (3, 1)
    assert unless_out_of_memory(int, "ff", base=16) == 255


def test_nothing_that_was_computed_is_held_afterwards() -> None:
    """The next network must have the memory that the failed one took."""
    held: list[weakref.ref[torch.Tensor]] = []

    def fail() -> None:
        large = torch.zeros(10)
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory")

    gc.disable()
    try:
        unless_out_of_memory(fail)
        assert held[0]() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
def test_most_memory_of_the_process() -> None:
    status = Path("/proc/self/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert most_memory_gb(torch.device("cpu")) == pytest.approx(kilobytes * 1024 / 1e9, rel=0.05)
