"""A model as a function of its parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

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
