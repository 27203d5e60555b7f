"""Variance of activations."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.networks import Networks
from ghn.analysis.variance import sentence, variance_records, variances
from tests.analysis.networks import SMALL, Attention, Small, made, some_images


def test_they_are_those_of_each_layers_output() -> None:
    model = made(Small)
    images, labels = some_images()
    first = model.first(images)  # type: ignore[operator]
    normal = functional.batch_norm(first, None, None, model.norm.weight, model.norm.bias, training=True)  # type: ignore[arg-type, union-attr]
    second = model.second(normal.relu())  # type: ignore[operator]
    head = model.head(second.relu().mean((2, 3)))  # type: ignore[operator]
    found = variances(model, (images, labels))
    assert found["layers"] == ["first.weight", "second.weight", "head.weight"]
    expected = [float(output.detach().double().var(correction=0)) for output in (first, second, head)]
    assert found["variances"] == pytest.approx(expected, rel=1e-5)


def test_biases_that_are_added_afterwards_count() -> None:
    """The projections of attention, of tokens by position, add theirs in an operator of their own."""
    model = made(Attention)
    images, labels = some_images()
    tokens = model.patch(images).flatten(2).permute(2, 0, 1)  # type: ignore[operator]
    packed = functional.linear(tokens, model.attention.in_proj_weight, model.attention.in_proj_bias)  # type: ignore[union-attr, arg-type]
    found = variances(model, (images, labels))
    assert found["layers"][1] == "attention.in_proj_weight"
    assert found["variances"][1] == pytest.approx(float(packed.detach().double().var(correction=0)), rel=1e-5)


def test_what_is_not_finite_is_none() -> None:
    model = made(Small)
    with torch.no_grad():
        model.head.weight.fill_(float("inf"))  # type: ignore[union-attr, operator]
    assert variances(model, some_images())["variances"][-1] is None
    with pytest.raises(ValueError, match="BatchNorm2d has no layer to look at"):
        variances(nn.BatchNorm2d(3), some_images())


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, 2.0, 0.5], "stays between 0.5 (c) and 2 (b), and ends at 0.5"),
        ([1.0, 2e4, 1e9], "explodes at b, layer 2 of 3 (2e+04)"),
        ([1.0, 1e-5, 1e-9], "vanishes at b, layer 2 of 3 (1e-05)"),
        ([1.0, None, None], "is not finite from b, layer 2 of 3 on"),
        ([1.0, 1.0, None], "is not finite at c, layer 3 of 3"),
        ([0.0, 1.0, 1.0], "vanishes at a, layer 1 of 3 (0)"),
    ],
)
def test_a_sentence_names_the_layer(values: list[float | None], text: str) -> None:
    found = sentence({"layers": ["a", "b", "c"], "variances": values})
    assert found.replace("at at", "at").replace("from at", "from") == text or found == text


def test_from_several_starts() -> None:
    config = AnalysisConfig(models=(SMALL,), starts=("default", "orthogonal"), data="noise", image_size=12,
        num_classes=3, images=4)  # fmt: skip
    found = variance_records(Networks(config))
    assert [one.start for one in found] == ["default", "orthogonal"]
    assert found[0].values["layers"] == found[1].values["layers"]
    assert found[0].values["variances"] != found[1].values["variances"]
