"""Small hypernetwork states and the files that hold them, as released and training code writes them."""

import gzip
import io
import json
import pickle
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import Tensor

from ghn.checkpoint.architecture import TABLES, expected_shapes, infer_config, skeleton
from ghn.hypernet import GHN, GHNConfig

TINY = GHNConfig(hidden=4, layers=2, heads=2, num_classes=3, max_channels=2, spatial=2)
TINY_GHN2 = GHNConfig(
    encoder="gated_gnn", layers=0, heads=1, hidden=4, num_classes=3, max_channels=8, spatial=2, centered_crop=False
)
TINY_MLP = GHNConfig(
    encoder="mlp", layers=0, heads=1, hidden=4, num_classes=3, max_channels=8, spatial=2, centered_crop=False
)

State = Mapping[str, Tensor]


def random_state(config: GHNConfig = TINY, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A whole random state of `GHN(config)`."""
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.randn(shape, generator=generator).to(dtype) for key, shape in expected_shapes(config).items()}


def same(found: State, wanted: State) -> bool:
    """Equal keys, types and bits."""
    return found.keys() == wanted.keys() and all(
        found[key].dtype == wanted[key].dtype and torch.equal(found[key], wanted[key]) for key in wanted
    )


def training_state(state: State) -> dict[str, Tensor]:
    """The state with the keys that training files have: wrapped, tables in the first layer."""
    return {f"module.{'gnn.0.' if key.startswith(TABLES) else ''}{key}": tensor for key, tensor in state.items()}


def training_file(state: State, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What training code hands to torch.save."""
    return {
        "state_dict": training_state(state),
        "config": config,
        "optimizer": {
            "state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(2, 3), "rows": torch.arange(3)}},
            "param_groups": [{"lr": 4e-4, "betas": (0.9, 0.999), "foreach": None, "params": [0]}],
        },
        "epoch": 3,
        "best": np.float64(61.5),
    }


def dumped(dump: Callable[..., Any], value: Any, *args: Any, **options: Any) -> bytes:
    """Bytes that `dump(value, file, …)` writes."""
    buffer = io.BytesIO()
    dump(value, buffer, *args, **options)
    return buffer.getvalue()


def _joblib(state: State, **options: Any) -> bytes:
    return dumped(joblib.dump, dict(state), **options)


def _numpy(state: State) -> dict[str, np.ndarray]:
    return {key: tensor.numpy() for key, tensor in state.items()}


def _parameters(state: State) -> dict[str, Tensor]:
    return {key: torch.nn.Parameter(tensor) for key, tensor in state.items()}


FORMATS: dict[str, Callable[[State], bytes]] = {
    "joblib": _joblib,
    "joblib-protocol-2": lambda state: _joblib(state, protocol=2),
    "joblib-protocol-5": lambda state: _joblib(state, protocol=5),
    "joblib-state_dict": lambda state: dumped(joblib.dump, _with_metadata(state)),
    "joblib-parameters": lambda state: _joblib(_parameters(state)),
    "joblib-zlib": lambda state: _joblib(state, compress=("zlib", 1)),
    "joblib-gzip": lambda state: _joblib(state, compress=("gzip", 1)),
    "joblib-bz2": lambda state: _joblib(state, compress=("bz2", 1)),
    "joblib-lzma": lambda state: _joblib(state, compress=("lzma", 1)),
    "joblib-xz": lambda state: _joblib(state, compress=("xz", 1)),
    "joblib-numpy": lambda state: dumped(joblib.dump, _numpy(state)),
    "joblib-numpy-gzip": lambda state: dumped(joblib.dump, _numpy(state), compress=("gzip", 1)),
    "joblib-numpy-fortran": lambda state: dumped(
        joblib.dump, {key: np.asfortranarray(array) for key, array in _numpy(state).items()}
    ),
    "pickle": lambda state: dumped(pickle.dump, dict(state)),
    "pickle-numpy": lambda state: dumped(pickle.dump, _numpy(state)),
    "pickle-numpy-protocol-2": lambda state: dumped(pickle.dump, _numpy(state), 2),
    "torch": lambda state: dumped(torch.save, dict(state)),
    "torch-old": lambda state: dumped(torch.save, dict(state), _use_new_zipfile_serialization=False),
    "torch-training": lambda state: dumped(torch.save, training_file(state)),
    "torch-training-old": lambda state: dumped(torch.save, training_file(state), _use_new_zipfile_serialization=False),
    "torch-transposed": lambda state: dumped(
        torch.save, {key: tensor.t().contiguous().t() if tensor.ndim == 2 else tensor for key, tensor in state.items()}
    ),
    "torch-one-storage": lambda state: dumped(torch.save, _one_storage(state)),
}
"""Every way of writing a state that must be read."""


def _with_metadata(state: State) -> Any:
    """An OrderedDict as `Module.state_dict()` returns it."""
    module = skeleton(infer_config({key: tuple(tensor.shape) for key, tensor in state.items()}), GHN)
    module.load_state_dict(dict(state), assign=True)
    return module.state_dict()


def _one_storage(state: State) -> dict[str, Tensor]:
    """The tensors as views of one flat tensor."""
    flat = torch.cat([tensor.flatten() for tensor in state.values()])
    parts = flat.split([tensor.numel() for tensor in state.values()])
    return {key: part.view(state[key].shape) for key, part in zip(state, parts, strict=True)}


def golden(reference: Path, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Stored options and weights, in the published layout, of a reference file."""
    with gzip.open(reference / "golden" / f"torchvision_{name}.json.gz") as file:
        content = json.load(file)
    published_state = runpy.run_path(str(reference / "golden" / "published_state.py"))["published_state"]
    state = {key: torch.from_numpy(array) for key, array in published_state(content["state_dict_shapes"]).items()}
    return content["config"], state
