"""Weights of any network: tensors by name in a file of safetensors or of `torch.save`, which is not run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.header import check_header
from ghn.common.memory import memory_errors_as
from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import open_regular
from ghn.common.untrusted.source import open_bytes
from ghn.common.untrusted.states import read_saved

SUFFIXES = (".safetensors", ".pt", ".pth")
"""How names of such files end."""

WRAPPINGS = ("state_dict", "model_state_dict", "model", "network")
"""Under what training programs keep a network's weights beside the state of the optimiser."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name.

    Args:
        path: A safetensors file, or one of `torch.save` of either layout that holds {name: tensor}, or this under one
            of `WRAPPINGS`. What its content is, and not its name, tells which. A prefix `module.` of all names, which
            wrappers for several processes leave, is taken off.

    Returns:
        Tensors of any type and shape, on the CPU.

    Raises:
        CheckpointError: In one line: the file, and what is wrong with it.
    """
    path = Path(path)
    with memory_errors_as(CheckpointError, f"{path}: there is not enough memory to read it"):
        try:
            with open_regular(path) as file:
                start = file.read(10)
            found = _safetensors(path) if start[8:10] == b'{"' else _tensors(read_saved(open_bytes(path)))
        except (FormatError, CheckpointError) as error:
            raise CheckpointError(f"{path}: {error}") from None
        except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
            raise CheckpointError(f"{path}: is no sound safetensors file ({shown(str(error))})") from None
    wrapped = all(name.startswith("module.") for name in found)
    return {name.removeprefix("module.") if wrapped else name: tensor for name, tensor in found.items()}


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    check_header(path)
    return load_file(path)


def _tensors(value: Any) -> Mapping[str, Tensor]:
    """The dictionary of tensors that a saved value is, or holds."""
    if not isinstance(value, dict):
        raise CheckpointError(f"holds a value of type {type(value).__name__}, not a dictionary of tensors")
    inner = next((value[key] for key in WRAPPINGS if isinstance(value.get(key), dict)), value)
    if not inner:
        raise CheckpointError("holds no tensors")
    for name, entry in inner.items():
        if not isinstance(name, str) or not isinstance(entry, Tensor):
            raise CheckpointError(
                f"holds {type(entry).__name__} under {shown(name)}, not a tensor; save model.state_dict()"
            )
    return inner
