"""What a safetensors file says of its tensors, checked before any of them is made.

Format: 8 bytes, the length of the header; the header, a JSON object with type, shape and place of each tensor; numbers.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch

from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.published import MAX_KEYS
from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import parse_json
from ghn.common.untrusted.opening import open_regular
from ghn.common.untrusted.states import most_tensors

MAX_HEADER = 4 << 20
"""Bytes; those of `MAX_KEYS` tensors take a fourth of it."""

MAX_AXES = 8

DTYPES: Mapping[str, torch.dtype] = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""Numbers that weights may be stored as."""


class StoredTensor(NamedTuple):
    """A tensor of the file: its type, its shape."""

    dtype: torch.dtype
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Type and shape of each tensor.

    Args:
        path: A .safetensors file.

    Returns:
        What is stored, by key.

    Raises:
        CheckpointError: Without the file's name: if it is no ordinary file, has a header that is too long or that does
            not describe it, holds more tensors than any hypernetwork, or others than of floating-point numbers.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            header, length = raw_header(file, size)
    except FormatError as error:
        what = str(error)
        raise CheckpointError(what if "file" in what else f"is no sound safetensors file ({what})") from None
    except OSError as error:
        raise CheckpointError(f"is no sound safetensors file ({shown(str(error))})") from None
    header.pop("__metadata__", None)
    if len(header) > MAX_KEYS:
        raise CheckpointError(f"holds {len(header):,} tensors; no hypernetwork has more than {MAX_KEYS:,}")
    stored = {key: _entry(key, entry) for key, entry in header.items()}
    needed = sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in stored.values())
    if needed != size - 8 - length:
        raise CheckpointError(
            f"is no sound safetensors file (its tensors take {shown(needed)} bytes, it has {size - 8 - length:,})"
        )
    return stored


def check_header(path: Path) -> None:
    """See that a safetensors file of any network can be opened: the library itself allocates whatever a header says.

    Raises:
        CheckpointError: Without the file's name: if its header is too long, says what no tensor has, or of more tensors
            than a file of its size may hold (`most_tensors`).
        FormatError: If it is no ordinary file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        header, _ = raw_header(file, size)
    header.pop("__metadata__", None)
    if len(header) > most_tensors(size):
        raise CheckpointError(f"holds {len(header):,} tensors, more than {most_tensors(size):,}: too many for its size")
    for key, entry in header.items():
        match entry:
            case {"dtype": str(), "shape": list() as shape, "data_offsets": [int() as begin, int() as end]} if (
                0 <= begin <= end <= size and _sides(shape, 64)
            ):
                pass
            case _:
                raise _undescribed(key)


def _sides(shape: list[Any], axes: int) -> bool:
    return len(shape) <= axes and all(type(side) is int and 0 <= side < 1 << 48 for side in shape)


def _undescribed(key: str) -> CheckpointError:
    return CheckpointError(f"is no sound safetensors file (its header does not describe {shown(key)})")


def raw_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The JSON object at the beginning of a file, of whatever content, and its length in bytes.

    Args:
        file: At its beginning; afterwards at the first number.
        size: Of the file, in bytes.

    Raises:
        CheckpointError: Without the file's name: if there is no such object, or it is too long.
    """
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(size - 8, MAX_HEADER):
        raise CheckpointError(f"is no sound safetensors file (its header cannot have {length:,} bytes)")
    try:
        header = parse_json(file.read(length).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CheckpointError(f"is no sound safetensors file ({shown(str(error))})") from None
    except FormatError as error:
        raise CheckpointError(f"is no sound safetensors file ({error})") from None
    if not isinstance(header, dict):
        raise CheckpointError("is no sound safetensors file (its header is no JSON object)")
    return header, length


def _entry(key: str, entry: Any) -> StoredTensor:
    match entry:
        case {"dtype": str() as dtype, "shape": list() as shape} if dtype in DTYPES and _sides(shape, MAX_AXES):
            return StoredTensor(DTYPES[dtype], tuple(shape))
        case {"dtype": str() as dtype} if dtype not in DTYPES:
            raise CheckpointError(f"holds {shown(dtype)} numbers under {shown(key)}, not floating-point ones")
    raise _undescribed(key)
