"""What a safetensors file says of its tensors is believed only as far as its size goes."""

from __future__ import annotations

import json
import os
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.header import MAX_HEADER, read_header


def written(header: Any, numbers: int = 0) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(numbers)


def entry(shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, 4]}


def test_types_and_shapes(tmp_path: Path) -> None:
    state = {"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.tensor(1.0)}
    save_file(state, tmp_path / "file", metadata={"format": "pt"})
    assert read_header(tmp_path / "file") == {key: (value.dtype, tuple(value.shape)) for key, value in state.items()}


BAD: dict[str, tuple[bytes, str]] = {
    "no length": (b"1234567", "no sound safetensors file"),
    "length of exabytes": (struct.pack("<Q", 1 << 62) + b"{}", "its header cannot have"),
    "long header": (struct.pack("<Q", MAX_HEADER + 1) + b" " * (MAX_HEADER + 2), "its header cannot have"),
    "no JSON": (struct.pack("<Q", 5) + b"hello", "is no JSON"),
    "no text": (struct.pack("<Q", 4) + b'"\xff"}', "no sound safetensors file"),
    "deep": (struct.pack("<Q", 200_000) + b"[" * 200_000, "nested too deeply"),
    "list": (written([1, 2]), "its header is no JSON object"),
    "entry of text": (written({"a": "x"}), "does not describe a"),
    "shape of text": (written({"a": entry(["3"])}), "does not describe a"),
    "negative shape": (written({"a": entry([-1])}), "does not describe a"),
    "shape of truth": (written({"a": entry([True])}, 4), "does not describe a"),
    "many axes": (written({"a": entry([1] * 9)}, 4), "does not describe a"),
    "huge shape": (written({"a": entry([1 << 47, 1 << 47])}), "its tensors take"),
    "too many numbers": (written({"a": entry([1])}, 8), "its tensors take 4 bytes, it has 8"),
    "same bytes twice": (written({"a": entry([1]), "b": entry([1])}, 4), "its tensors take 8 bytes, it has 4"),
    "integers": (written({"a": entry([1], "I64")}, 8), "holds I64 numbers under a, not floating-point ones"),
    "complex numbers": (written({"a": entry([1], "C64")}, 8), "holds C64 numbers under a"),
    "very many tensors": (written({f"{index}": entry([0]) for index in range(10_001)}), "holds 10,001 tensors"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_at_once(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    (tmp_path / "file").write_bytes(content)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(CheckpointError, match=message):
        read_header(tmp_path / "file")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64_000  # KiB
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("make", "message"), [(os.mkfifo, "not a regular file"), (os.mkdir, "is a folder"), (lambda path: None, "no such")]
)
def test_no_file(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "file")
    with pytest.raises(CheckpointError, match=message):
        read_header(tmp_path / "file")
