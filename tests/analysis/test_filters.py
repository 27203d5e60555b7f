"""Filters of first layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.filters import filter_records, first_filters
from ghn.analysis.networks import Networks
from tests.analysis.networks import SMALL, WIDER, Small, made, some_images


def test_they_are_the_weight_of_the_first_convolution_of_images() -> None:
    model = made(Small)
    values, tensors = first_filters(model, some_images())
    assert values["layer"] == "first.weight"
    assert torch.equal(tensors["filters"], model.first.weight)  # type: ignore[union-attr, arg-type]
    assert (values["filters"], values["distinct"]) == (4, 4)


def test_filters_alike_up_to_sign_and_size_count_once() -> None:
    model = made(Small)
    with torch.no_grad():
        weight = model.get_parameter("first.weight").detach()
        weight[1], weight[2] = 3 * weight[0], -weight[0]
    values, _ = first_filters(model, some_images())
    assert values["distinct"] == 2
    # Three of six pairs are at no distance.
    rows = nn.functional.normalize(weight.flatten(1))
    others = [1 - abs(float(rows[place] @ rows[3])) for place in range(3)]
    assert values["distance"] == pytest.approx(sum(others) / 6, abs=1e-6)


def test_a_network_without_a_convolution_of_images_is_told() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 4))
    with pytest.raises(ValueError, match="Sequential has no convolution of images with 3 channels to show"):
        first_filters(model, some_images())


def test_of_networks() -> None:
    config = AnalysisConfig(models=(SMALL, WIDER), data="noise", image_size=12, num_classes=3, images=4)
    found = filter_records(Networks(config))
    assert [one.values["layer"] for one in found] == ["first.weight", "0.weight"]
    assert all(one.tensors["filters"].shape == (4, 3, 3, 3) for one in found)
