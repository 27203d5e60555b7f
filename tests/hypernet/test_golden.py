"""Results of the released code, stage by stage, on graphs that are given (no tracing)."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ghn.hypernet import GraphBatch
from ghn.hypernet.graphormer import Graphormer
from tests.hypernet.reference import golden, golden_graph, hypernet

TOLERANCE = 1e-5
"""Relative to the root mean square of a tensor."""

FILES = {"ghn3-t": "torchvision_ghn3-t", "ghn2": "torchvision_ghn2", "ghn3-xl": "torchvision_ghn3-xl"}

# Convolutions plain, grouped and depthwise, gates, attention, concatenations, several kernels, heads of all kinds.
MODELS = """alexnet squeezenet1_0 shufflenet_v2_x0_5 mnasnet0_5 vgg11_bn resnet18 mobilenet_v3_large regnet_y_400mf
densenet121 vit_b_32 resnext50_32x4d efficientnet_b0 swin_t convnext_tiny""".split()


def assert_close(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    scale = float(expected.square().mean().sqrt())
    assert float((actual - expected).abs().max()) <= TOLERANCE * scale


def check_predictions(folder: Path, preset: str, name: str) -> None:
    """Compare shape, norm, mean and three values of every parameter, and the total norm."""
    entry = golden(folder, FILES[preset])["models"][name]
    graph = golden_graph(entry)
    weights = {key: torch.empty(spec.shape) for key, spec in graph.parameters.items()}
    written = hypernet(folder, FILES[preset], preset).decode_into(graph, weights)
    assert set(weights) == {key for key, value in entry["params"].items() if value is not None}
    assert written.total_norm == pytest.approx(entry["total_norm"], rel=TOLERANCE)
    for key, tensor in weights.items():
        compare(tensor.double(), entry["params"][key], key)


def compare(tensor: Tensor, expected: dict[str, Any], key: str) -> None:
    assert list(tensor.shape) == expected["shape"], key
    flat = tensor.flatten()
    values = [flat[0], flat[len(flat) // 2], flat[-1]]
    if "note" in expected:  # The class token's row is random.
        flat, values[0] = tensor[:, 1:].flatten(), torch.tensor(expected["at"][0])
    assert float(flat.norm()) == pytest.approx(expected["norm"], rel=TOLERANCE), key
    scale = expected["norm"] / math.sqrt(len(flat))
    assert float(flat.mean()) == pytest.approx(expected["mean"], abs=TOLERANCE * scale), key
    assert [float(value) for value in values] == pytest.approx(expected["at"], abs=TOLERANCE * scale), key


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("preset", ["ghn3-t", "ghn2"])
def test_predictions(reference: Path, preset: str, name: str) -> None:
    check_predictions(reference, preset, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_predictions_of_the_largest(reference: Path, name: str) -> None:
    check_predictions(reference, "ghn3-xl", name)


@pytest.mark.parametrize("stage", ["ghn3t/resnet18", "ghn3t/vit_b_32", "ghn2/resnet18"])
@torch.no_grad()
def test_stages(reference: Path, stage: str) -> None:
    expected = golden(reference, "stages")[stage]
    kind, name = stage.split("/")
    preset = {"ghn3t": "ghn3-t", "ghn2": "ghn2"}[kind]
    network = hypernet(reference, FILES[preset], preset)
    entry = golden(reference, FILES[preset])["models"][name]
    assert entry["nodes"] == expected["nodes"]
    batch = GraphBatch.from_graphs([golden_graph(entry)])
    values = {key: torch.tensor(value["values"]) for key, value in expected.items() if "values" in value}

    assert_close(network.embed(batch.primitives) + network.shape_enc(batch.shapes), values["embedding"])
    features = network.node_features(batch)
    assert_close(features, values.get("encoder_input", values["embedding"]))
    assert_close(network.gnn(features, batch), values["encoder_output"])
    assert_close(network.encode(batch), values["decoder_input"])
    if isinstance(network.gnn, Graphormer):
        (bias,) = network.gnn.attention_biases(batch)
        assert isinstance(bias, torch.Tensor)
        assert [*bias.shape[1:], len(bias)] == expected["attention_bias"]["shape"][-3:]
        for row, columns in expected["attention_bias"]["rows"].items():
            assert_close(bias[:, int(row), :12].T, torch.from_numpy(np.array(columns, dtype=np.float32)))
