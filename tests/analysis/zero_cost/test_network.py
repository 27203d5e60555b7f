"""A model as a function of its parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from ghn.analysis.variance import variances
from ghn.analysis.zero_cost import score_table, scores
from ghn.analysis.zero_cost.network import Network, UndefinedError, differentiated, total
from tests.analysis.networks import Small, made, some_images


def test_weights_are_those_of_layers_in_order() -> None:
    assert Network(made(Small), some_images()).weights == ["first.weight", "second.weight", "head.weight"]


def test_a_model_without_weights_has_none() -> None:
    with pytest.raises(UndefinedError, match="no parameter of the model multiplies data"):
        _ = Network(nn.BatchNorm2d(3), some_images()).weights


def test_nothing_is_dropped_and_norms_use_the_batch() -> None:
    network = Network(made(Small).eval(), some_images())
    with network.trained():
        first, second = network.scores(), network.scores()
    assert torch.equal(first, second)
    network.model.norm.running_mean.fill_(9.0)  # type: ignore[union-attr, operator]
    with network.trained():
        assert torch.equal(network.scores(), first)


def test_half_precision_is_scored_in_its_own() -> None:
    network = Network(made(Small).bfloat16(), some_images())
    assert network.images.dtype == torch.bfloat16
    with network.trained():
        assert network.loss().dtype == torch.float32


def test_derivatives_of_what_depends_on_nothing() -> None:
    leaf = torch.ones(2, requires_grad=True)
    with pytest.raises(UndefinedError, match="depends on them"):
        differentiated(torch.ones(()), [leaf])
    other = torch.ones(2, requires_grad=True)
    assert [part.tolist() for part in differentiated(leaf.sum(), [leaf, other])] == [[1.0, 1.0], [0.0, 0.0]]
    assert total([leaf.detach(), other.detach()]) == 4.0


class Recurrent(nn.Module):
    def __init__(self, kind: Any = nn.LSTM) -> None:
        super().__init__()
        self.layer = kind(12, 6, batch_first=True)
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.permute(0, 2, 1, 3).flatten(2)
        return self.head(self.layer(rows)[0][:, -1])


class Prepared(nn.Module):
    """Weights that are made of a parameter and a buffer: pruned, and normalised by a vector that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.pruned = prune.random_unstructured(nn.Linear(48, 6), "weight", 0.5)
        self.spectral = parametrizations.spectral_norm(nn.Linear(6, 6))
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.spectral(self.pruned(images.flatten(1)).relu()))


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(48, 6, dtype=torch.complex64))
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head((images.flatten(1).to(torch.complex64) @ self.weight).abs())


def four_pixels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 3, 4, 4, generator=generator), torch.arange(5) % 4


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_weights_count(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(0)
    model, (images, labels) = Recurrent(kind), four_pixels()
    assert Network(model, (images, labels)).weights == ["layer.weight_ih_l0", "layer.weight_hh_l0", "head.weight"]
    functional.cross_entropy(model(images), labels).backward()
    weights = [model.layer.weight_ih_l0, model.layer.weight_hh_l0, model.head.weight]
    direct = sum(float(weight.grad.norm()) for weight in weights)  # type: ignore[union-attr, operator, misc]
    found = scores(model, (images, labels), names=["gradnorm", "snip", "fisher"])
    assert found["gradnorm"] == pytest.approx(direct, rel=1e-5)
    assert all(math.isfinite(value) for value in found.values())


def test_weights_that_are_made_with_buffers_count() -> None:
    torch.manual_seed(0)
    model, (images, labels) = Prepared().eval(), four_pixels()
    names = ["pruned.weight_orig", "spectral.parametrizations.weight.original", "head.weight"]
    assert Network(model, (images, labels)).weights == names
    assert variances(model, (images, labels))["layers"] == names
    functional.cross_entropy(model(images), labels).backward()
    parameters = dict(model.named_parameters())
    direct = sum(float((parameters[name].grad * parameters[name].detach()).abs().sum()) for name in names)  # type: ignore[operator, misc]
    assert scores(model, (images, labels), names=["snip"])["snip"] == pytest.approx(direct, rel=1e-5)


def test_what_data_were_written_into_is_no_weight() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 4)
            self.register_buffer("kept", torch.zeros(5, 6))

        def forward(self, images: Tensor) -> Tensor:
            self.kept.copy_(images.flatten(1)[:, :6])  # type: ignore[operator]
            made = torch.zeros(5, 6)
            made[:, :3] = images.flatten(1)[:, :3]
            return self.head(self.kept) + self.head(made)

    found: list[str] = []
    network = Network(Written(), four_pixels())
    network.watch(network.images, lambda one: found.append(one.name))
    assert found == ["head.weight", "head.weight"]


def test_complex_weights_are_layers_whose_scores_say_why_there_are_none() -> None:
    torch.manual_seed(0)
    model = Complex()
    seen = variances(model, four_pixels())
    assert seen["layers"] == ["weight", "head.weight"]
    with torch.no_grad():
        outputs = four_pixels()[0].flatten(1).to(torch.complex64) @ model.weight
    assert seen["variances"][0] == pytest.approx(float(outputs.var(correction=0)), rel=1e-5)
    reason = score_table(model, four_pixels())["snip"].reason
    assert reason == "the weight weight is complex, for which it is not defined"


def test_inference_mode_changes_no_score() -> None:
    torch.manual_seed(0)
    model = Recurrent(nn.RNN)
    expected = scores(model, four_pixels())
    with torch.inference_mode():
        torch.manual_seed(0)
        assert scores(Recurrent(nn.RNN), four_pixels()) == pytest.approx(expected, nan_ok=True)
        assert scores(model, four_pixels()) == pytest.approx(expected, nan_ok=True)
