"""Validation of predicted networks: what is not finite, lacks memory, or could leave something changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.meta.targets import Target
from ghn.meta.validation import validate

CLASSES = 4


class Network(nn.Module):
    """Its scores are made of one predicted tensor (`bias`) and the images' means."""

    def __init__(self, make: Callable[[Tensor], Tensor] = lambda scores: scores) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(CLASSES, device="meta"))
        self.make = make

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        return self.make(self.bias + images.mean(dim=(1, 2, 3))[:, None] * torch.eye(CLASSES)[1])


class Hypernet(nn.Module):
    """Its graphs are the biases themselves."""

    def forward(self, graphs: Sequence[Any]) -> list[dict[str, Tensor]]:
        assert not self.training
        return [{"bias": torch.tensor(graph)} for graph in graphs]


def target(bias: Sequence[float], make: Callable[[Tensor], Tensor] = lambda scores: scores) -> Target:
    return Target(network=Network(make), graph=tuple(bias))  # type: ignore[arg-type]


def batch(labels: Sequence[int], means: Sequence[float] = ()) -> tuple[Tensor, Tensor]:
    """Images of given means."""
    shades = torch.tensor(means or [0.0] * len(labels))
    return shades[:, None, None, None].expand(-1, 3, 2, 2).contiguous(), torch.tensor(labels)


FIRST, SECOND = (5.0, 0.0, 0.0, 0.0), (0.0, 5.0, 0.0, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_never_class_0(value: float) -> None:
    """NaN, and a tie of infinities, would be taken for the first class."""
    targets = [
        target([value] * CLASSES),
        target([value, 0.0, 0.0, 0.0]),
        target([0.0, value, 0.0, 0.0]),
        target(FIRST),
    ]
    accuracies, losses = validate(Hypernet(), targets, [batch([0, 0, 0])])
    assert accuracies == [0.0, 0.0, 0.0, 1.0]
    assert losses[0] == math.inf
    assert not any(map(math.isnan, losses))
    assert losses[3] < 0.1


def test_only_the_images_with_such_scores_are_wrong() -> None:
    network = target(FIRST, lambda scores: torch.where(scores[:, 1:2] > 9, torch.nan, scores))
    accuracies, _ = validate(Hypernet(), [network], [batch([0, 0], [0.0, 10.0]), batch([0, 0])])
    assert accuracies == [0.75]


def test_accuracy_and_loss_are_means_over_images_of_each_network_by_itself() -> None:
    batches = [batch([0, 1, 2]), batch([1])]
    accuracies, losses = validate(Hypernet(), [target(FIRST), target(SECOND)], batches)
    assert accuracies == [0.25, 0.5]
    for bias, loss in zip((FIRST, SECOND), losses, strict=True):
        scores = torch.tensor([bias] * 4)
        assert loss == pytest.approx(float(functional.cross_entropy(scores, torch.tensor([0, 1, 2, 1]))), rel=1e-5)


def test_networks_without_memory_are_left_out_and_the_others_are_not() -> None:
    def lack(scores: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    accuracies, losses = validate(Hypernet(), [target(FIRST, lack), target(FIRST)], [batch([0])])
    assert (accuracies, len(losses)) == ([1.0], 1)
    assert validate(Hypernet(), [target(FIRST, lack)], [batch([0])]) == ([], [])


@pytest.mark.parametrize("training", [True, False])
def test_the_hypernetwork_keeps_its_mode(training: bool) -> None:
    hypernet = Hypernet().train(training)
    validate(hypernet, [target(FIRST)], [batch([0])])
    assert hypernet.training == training
