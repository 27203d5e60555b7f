"""Want of memory is one line, and nothing else is taken for it."""

import sys
from pathlib import Path

import pytest
import torch

from ghn.common.errors import OneLineError
from ghn.common.memory import give_back, is_out_of_memory, memory_errors_as


def test_what_the_allocator_says_is_told_in_one_line() -> None:
    with pytest.raises(OneLineError, match=r"^too little$"), memory_errors_as(OneLineError, "too little"):
        torch.empty(1 << 55, dtype=torch.uint8)
    with pytest.raises(OneLineError, match=r"^too little$"), memory_errors_as(OneLineError, "too little"):
        bytearray(1 << 62)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(2, "No such file"), ValueError("memory")])
def test_other_errors_stay(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, memory_errors_as(OneLineError, "too little"):
        raise error
    assert caught.value is error


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is looked up in /proc")
def test_what_is_freed_is_given_back() -> None:
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    # Pieces, of which the last stays, as tensors of many sizes leave it.
    pieces = [torch.ones(1 << 15) for _ in range(2000)]
    kept, before = pieces[-1], pages()
    del pieces
    give_back()
    assert pages() < before - 40_000, "less than 160 of 260 MB"
    assert float(kept.sum()) == 1 << 15
