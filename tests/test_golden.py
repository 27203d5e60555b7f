"""Predictions of the released code, from model to parameters, for every torchvision model on record."""

import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ghn.hypernet import GHNConfig
from ghn.model import GHN
from tests.graph.test_golden import MODELS, build, marked

TOLERANCE = 1e-4
"""Relative agreement that float32 allows."""

CONFIGS = {
    "torchvision_ghn3-t": GHNConfig.preset("ghn3-t"),
    "torchvision_ghn2": GHNConfig.preset("ghn2"),
    "torchvision_ghn3-xl": GHNConfig.preset("ghn3-xl"),
}


@cache
def golden(folder: Path, name: str) -> dict[str, Any]:
    with gzip.open(folder / f"{name}.json.gz") as stream:
        return json.load(stream)


@cache
def hypernet(folder: Path, name: str) -> GHN:
    """A hypernetwork with the weights that the reference results were made with."""
    spec = importlib.util.spec_from_file_location("published_state", folder / "published_state.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    state = module.published_state(golden(folder, name)["state_dict_shapes"])
    with torch.device("meta"):
        network = GHN(CONFIGS[name])
    network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, assign=True)
    return network.eval()


def compare(folder: Path, file: str, name: str) -> None:
    expected = golden(folder, file)["models"][name]["params"]
    weights = hypernet(folder, file).predict(build(name))
    assert set(weights) == {key for key, value in expected.items() if value is not None}
    for key, tensor in weights.items():
        reference = expected[key]
        values = tensor.flatten()
        assert list(tensor.shape) == reference["shape"]
        if "pos_embedding" in key:
            # The class token's row is random.
            assert float(values[-1]) == pytest.approx(reference["at"][2], rel=TOLERANCE), key
            continue
        norm = float(torch.linalg.vector_norm(values, dtype=torch.float64))
        assert norm == pytest.approx(reference["norm"], rel=TOLERANCE), key
        near = TOLERANCE * norm / np.sqrt(values.numel())
        assert float(values.mean(dtype=torch.float64)) == pytest.approx(reference["mean"], rel=TOLERANCE, abs=near), key
        at = [float(values[index]) for index in (0, values.numel() // 2, -1)]
        assert at == pytest.approx(reference["at"], rel=TOLERANCE, abs=near), key


@pytest.mark.parametrize("name", [marked(name) for name in MODELS])
@pytest.mark.parametrize("file", ["torchvision_ghn3-t", "torchvision_ghn2"])
def test_predicted_parameters_are_the_released_ones(file: str, name: str, reference: Path) -> None:
    compare(reference / "golden", file, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_largest_hypernetwork(name: str, reference: Path) -> None:
    compare(reference / "golden", "torchvision_ghn3-xl", name)
