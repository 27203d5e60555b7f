"""Load a hypernetwork from wherever it is; describe one without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ghn.checkpoint.architecture import Shapes, check_shapes, describe_config, expected_shapes, skeleton
from ghn.checkpoint.card import RELEASES, parameter_counts, preset_of
from ghn.checkpoint.convert import read_hypernetwork
from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.header import StoredTensor, read_header
from ghn.checkpoint.hub import Source, download, download_if_there, released_folder, resolve
from ghn.checkpoint.images import IMAGES_FILE, images_beside, read_images
from ghn.checkpoint.published import FLOATS
from ghn.checkpoint.save import CONFIG_FILE, WEIGHTS_FILE
from ghn.common.memory import is_out_of_memory, memory_errors_as
from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import read_json
from ghn.data.image_set import ImageSet
from ghn.hypernet import GHN
from ghn.hypernet.config import GHNConfig

ALIGNMENT = 16

ATTEMPTS = 3

MAX_CONFIG = 1 << 20
"""Bytes of a config.json; sound ones take some hundred."""


Kind = TypeVar("Kind", bound=GHN)


def load_pretrained(
    kind: type[Kind],
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> Kind:
    """Load a hypernetwork as a module of class `kind`; see `ghn.model.from_pretrained`, whose arguments these are."""
    if dtype is not None and dtype not in FLOATS:
        names = ", ".join(str(known).removeprefix("torch.") for known in FLOATS)
        raise ValueError(f"dtype must be {names} or None, not {dtype}: weights are floating-point numbers")
    source = resolve(name_or_path)
    with memory_errors_as(CheckpointError, f"{shown(source.name)}: there is not enough memory to load it"):
        if source.kind == "file" and source.path is not None and source.path.suffix != ".safetensors":
            config, state = _read_published(source.path)
        else:
            config, state = _read_folder(_weights_file(source, revision, cache_dir, token))
        state = {key: tensor.to(device=device, dtype=dtype or tensor.dtype) for key, tensor in state.items()}
        return _assemble(kind, config, state, torch.device(device))


def load_images(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
) -> ImageSet | None:
    """The images that a hypernetwork brings along; None where it has none.

    Args:
        name_or_path: As for `from_pretrained`, and so are the others.

    Raises:
        CheckpointError: In one line, if there are some that cannot be read.
    """
    source = resolve(name_or_path)
    if source.kind == "hub":
        file = download_if_there(source.name, IMAGES_FILE, revision, cache_dir, token)
        return None if file is None else read_images(file)
    if source.path is None or (source.kind == "file" and source.path.suffix != ".safetensors"):
        return None
    return images_beside(source.path if source.kind == "file" else source.path / WEIGHTS_FILE)


def _assemble(kind: type[Kind], config: GHNConfig, state: Mapping[str, Tensor], device: torch.device) -> Kind:
    """`kind(config)` around these very tensors: nothing is initialised, nothing copied."""
    hypernet = skeleton(config, kind)
    hypernet.load_state_dict(state, strict=True, assign=True)
    return hypernet.to(device).eval()


def _read_published(path: Path) -> tuple[GHNConfig, dict[str, Tensor]]:
    config, state = read_hypernetwork(path)
    # In a pickle, tensors may start at odd addresses, which vector instructions dislike.
    copied = {key: tensor.clone() for key, tensor in state.items() if tensor.data_ptr() % ALIGNMENT}
    return config, {key: copied.get(key, tensor).contiguous() for key, tensor in state.items()}


def _weights_file(source: Source, revision: str | None, cache_dir: str | Path | None, token: str | bool | None) -> Path:
    """The .safetensors file, its config.json beside it, fetched if need be."""
    if source.kind == "released":
        return released_folder(source.name, revision, cache_dir, token) / WEIGHTS_FILE
    if source.kind == "hub":
        download(source.name, CONFIG_FILE, revision, cache_dir, token)
        return download(source.name, WEIGHTS_FILE, revision, cache_dir, token)
    assert source.path is not None
    return source.path if source.kind == "file" else source.path / WEIGHTS_FILE


def _read_header(weights: Path) -> tuple[GHNConfig, dict[str, StoredTensor]]:
    """Architecture, and what is stored, of which the shapes fit it."""
    config = read_config(weights.parent)
    try:
        stored = read_header(weights)
        check_shapes({key: tensor.shape for key, tensor in stored.items()}, config)
    except CheckpointError as error:
        raise CheckpointError(f"{weights}: {_with_advice(str(error))}") from None
    return config, stored


def _with_advice(fault: str) -> str:
    return f"{fault}; a hypernetwork's folder holds it" if "no such file" in fault else fault


def _read_folder(weights: Path) -> tuple[GHNConfig, dict[str, Tensor]]:
    """Architecture and tensors; tried again where another process puts other files there meanwhile."""
    for _ in range(ATTEMPTS):
        config, stored = _read_header(weights)
        try:
            state = load_file(weights)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{weights}: is no sound safetensors file ({shown(str(error))})") from None
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            continue  # the file that PyTorch maps is smaller than the one whose header was read
        shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
        if shapes == {key: tensor.shape for key, tensor in stored.items()}:
            return config, state
    raise CheckpointError(f"{weights}: was changed while it was read; load it again")


def read_config(folder: Path) -> GHNConfig:
    """Architecture stored in a folder's config.json.

    Args:
        folder: A hypernetwork's folder.

    Returns:
        The architecture.

    Raises:
        CheckpointError: If the file is missing, is no JSON object, or has unknown fields or values.
    """
    path = folder / CONFIG_FILE
    try:
        values = read_json(path, MAX_CONFIG)
    except FormatError as error:
        fault = str(error)
        if "file" not in fault:
            fault = f"cannot be read as JSON: it {fault}"
        raise CheckpointError(f"{path}: {_with_advice(fault)}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: is no JSON object")
    kinds = {field.name: type(field.default) for field in fields(GHNConfig)}
    for name, value in values.items():
        if name not in kinds:
            raise CheckpointError(f"{path}: has the field {shown(name)}, which no hypernetwork has")
        if type(value) is not kinds[name]:
            raise CheckpointError(f"{path}: {name} is {shown(value)}, not of type {kinds[name].__name__}")
    try:
        return GHNConfig(**values)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def describe(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
) -> dict[str, Any]:
    """What a hypernetwork is, without loading its weights (of a hub repository only config.json is fetched).

    Args:
        name_or_path: As for `from_pretrained`.
        revision: As for `from_pretrained`.
        cache_dir: As for `from_pretrained`.
        token: As for `from_pretrained`.

    Returns:
        `name`; `kind` (bundled, released, hub, folder, file); `path` or None if it is not here; `preset` or None;
        `architecture` in words; `config` by field; `parameters`, their number by part; `total`; `dtype` of the stored
        numbers, `bytes` of the file (both None if it is not here); `training` by topic or None.

    Raises:
        ValueError: As `from_pretrained`.
    """
    source = resolve(name_or_path)
    path, size, dtype = source.path, None, None
    shapes: Shapes | None = None
    if source.kind == "released":
        config = GHNConfig.preset(RELEASES[source.name].preset)
    elif source.kind == "hub":
        config = read_config(download(source.name, CONFIG_FILE, revision, cache_dir, token).parent)
    else:
        assert path is not None
        path = path / WEIGHTS_FILE if source.kind != "file" else path
        config, shapes, dtype = _inspect(path)
        size = path.stat().st_size
    parameters = parameter_counts(shapes or expected_shapes(config))
    return {
        "name": source.name,
        "kind": source.kind,
        "path": path,
        "preset": preset_of(config),
        "architecture": describe_config(config),
        "config": config.to_dict(),
        "parameters": parameters,
        "total": sum(parameters.values()),
        "dtype": dtype,
        "bytes": size,
        "training": dict(RELEASES[source.name].training) if source.kind == "released" else None,
    }


def _inspect(path: Path) -> tuple[GHNConfig, Shapes, str]:
    """Architecture, shapes and types of numbers of a local file of either format."""
    if path.suffix == ".safetensors":
        config, found = _read_header(path)
        stored = dict(found)
    else:
        config, state = _read_published(path)
        stored = {key: StoredTensor(tensor.dtype, tuple(tensor.shape)) for key, tensor in state.items()}
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in stored.values()}
    return config, {key: tensor.shape for key, tensor in stored.items()}, ", ".join(sorted(dtypes))
