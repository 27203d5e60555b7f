"""The released graphs of 58 torchvision models."""

import contextlib
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ghn.graph.trace import trace
from tests.graph.graphs import isomorphic, labelled, named

torchvision = pytest.importorskip("torchvision")

MODELS = """alexnet convnext_large convnext_small convnext_tiny densenet121 densenet169 densenet201 efficientnet_b0
efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l
efficientnet_v2_s inception_v3 mnasnet0_5 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large regnet_x_16gf
regnet_x_1_6gf regnet_x_32gf regnet_x_400mf regnet_x_800mf regnet_x_8gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf
regnet_y_400mf regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet50 resnext101_32x8d resnext101_64x4d
resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x2_0 squeezenet1_0 swin_b swin_t vgg11 vgg11_bn
vgg13 vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_l_16 wide_resnet50_2""".split()


SIBLINGS = """convnext_large convnext_small densenet169 densenet201 efficientnet_b1 efficientnet_b2 efficientnet_b3
efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l mnasnet1_0 mnasnet1_3 regnet_x_16gf regnet_x_1_6gf
regnet_x_32gf regnet_x_800mf regnet_x_8gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_800mf regnet_y_8gf
resnet101 resnet152 resnext101_32x8d resnext101_64x4d shufflenet_v2_x1_0 shufflenet_v2_x2_0 swin_b vgg11 vgg13 vgg16
vgg11_bn vgg16_bn vgg19 vgg19_bn vit_b_16 vit_l_16 wide_resnet50_2""".split()
"""Those with a smaller one of their kind among the others (of VGG: AlexNet), left to the slow run."""


def marked(name: str) -> Any:
    """A model's name as a case of a test."""
    return pytest.param(name, marks=pytest.mark.slow) if name in SIBLINGS else name


@cache
def golden(file: Path) -> dict[str, Any]:
    with gzip.open(file) as stream:
        return json.load(stream)["models"]


def build(name: str) -> nn.Module:
    """A torchvision model without the seconds of its initialisation."""
    # RegNets compute their widths with tensors, which need numbers.
    device = contextlib.nullcontext() if name.startswith("regnet") else torch.device("meta")
    with device:
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(name, weights=None, **options)


def test_list_is_complete(reference: Path) -> None:
    assert sorted(golden(reference / "golden" / "torchvision_ghn3-t.json.gz")) == sorted(MODELS)


@pytest.mark.parametrize("name", [marked(name) for name in MODELS])
def test_graph_is_the_released_one(name: str, reference: Path) -> None:
    expected = golden(reference / "golden" / "torchvision_ghn3-t.json.gz")[name]
    graph = trace(build(name))
    predicted = {key for key, value in expected["params"].items() if value is not None}
    assert set(graph.parameters) == predicted
    assert set(graph.kept) == set(expected["params"]) - predicted
    labels = (f"{op}:{label}" if label in expected["params"] else op for op, label in expected["nodes"])
    assert isomorphic(named(graph), labelled(labels, expected["edges"]))
    for key, spec in graph.parameters.items():
        assert list(spec.shape) == expected["params"][key]["shape"]
    heads = {key for key, spec in graph.parameters.items() if spec.head}
    assert heads == set(list(expected["params"])[-2:])
