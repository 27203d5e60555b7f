"""Released checkpoints (joblib pickles of {key: tensor}) and training files (torch.save), read without running them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ghn.checkpoint.errors import CheckpointError
from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.plain import JOBLIB_NAMES, STORAGE_TYPES, PlainTensor, tensor_names
from ghn.common.untrusted.source import ByteReader, open_bytes
from ghn.common.untrusted.torch_files import MAGIC, read_old, read_zip, storage_loader
from ghn.common.untrusted.unpickler import Budget, ClosedUnpickler

MAX_KEYS = 10_000
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """Content of a released checkpoint or training file, keys as they stand there.

    Attributes:
        state: Tensors by key, sharing memory with the file; not to be written to.
        config: The options stored beside them, if any.
        kind: "joblib pickle", "torch.save (zip)" or "torch.save (old layout)".
    """

    state: Mapping[str, torch.Tensor]
    config: Mapping[str, Any] | None
    kind: str


def read_published(path: str | Path) -> PublishedFile:
    """Read a released file; nothing in it is executed and nothing but plain tensors is accepted.

    Args:
        path: A file of `joblib.dump` (possibly compressed), `pickle.dump` or `torch.save`, holding {key: tensor} or
            {"state_dict": {key: tensor}, "config": {...}, ...}.

    Returns:
        Its floating-point tensors, of any shapes and values.

    Raises:
        CheckpointError: In one line: the file, what is wrong with it and, if the pickle refers to something else than
            plain tensors, the name it refers to.
    """
    path = Path(path)
    try:
        data = open_bytes(path)
        value, kind = _read(data)
        tensors, config = _split(value)
        declared = sum(tensor.bytes for tensor in tensors.values())
        if declared > len(data):
            raise CheckpointError(f"declares tensors of {declared:,} bytes but holds {len(data):,} bytes")
        state = {key: tensor.tensor() for key, tensor in tensors.items()}
    except (CheckpointError, FormatError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    except MemoryError:
        raise CheckpointError(f"{path}: there is not enough memory to read it") from None
    return PublishedFile(state=state, config=config, kind=kind)


def _read(data: memoryview) -> tuple[Any, str]:
    budget = Budget(copied=len(data))
    if data[:4] == b"PK\x03\x04":
        return read_zip(data, budget), "torch.save (zip)"
    if data[8:10] == b'{"':
        raise CheckpointError("is a safetensors file already; keep it in a folder with its config.json and load that")
    reader = ByteReader(data)
    names = tensor_names(budget)
    joblib_names = {**names, **JOBLIB_NAMES, "torch.storage._load_from_bytes": storage_loader(budget)}
    value = ClosedUnpickler(reader, budget, joblib_names).load()
    if type(value) is int and value == MAGIC:
        return read_old(reader, budget, {**names, **STORAGE_TYPES}), "torch.save (old layout)"
    if reader.remaining:
        raise CheckpointError(f"is damaged: {reader.remaining:,} bytes follow its pickle")
    return value, "joblib pickle"


def _split(value: Any) -> tuple[dict[str, PlainTensor], dict[str, Any] | None]:
    """The tensors and the stored options of either layout."""
    if type(value) is not dict:
        raise CheckpointError(f"holds a value of type {type(value).__name__}, not a dictionary of tensors")
    config = None
    if {"hypernet", "config", "step"} <= value.keys():
        raise CheckpointError("is the state of a training; convert the training's folder instead")
    if "state_dict" in value:
        value, config = value["state_dict"], value.get("config")
        if type(value) is not dict:
            raise CheckpointError(f"holds a state_dict of type {type(value).__name__}, not a dictionary of tensors")
        if config is not None and type(config) is not dict:
            raise CheckpointError(f"holds a config of type {type(config).__name__}, not a dictionary")
    if not value:
        raise CheckpointError("holds no tensors")
    if len(value) > MAX_KEYS:
        raise CheckpointError(f"holds {len(value):,} entries; no hypernetwork has more than {MAX_KEYS:,} parameters")
    for key, tensor in value.items():
        if type(key) is not str or not isinstance(tensor, PlainTensor):
            raise CheckpointError(f"holds {type(tensor).__name__} under {shown(key)}, not a tensor")
        if 0 in tensor.shape:
            raise CheckpointError(f"holds a tensor without elements under {shown(key)}")
        if tensor.dtype not in FLOATS:
            raise CheckpointError(f"holds {tensor.dtype} numbers under {shown(key)}, not floating-point ones")
    return value, config
