"""Accuracy after some steps of SGD, against the steps written out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.meta.adaptation import MOMENTUM, Adaptation, accuracy_after_steps
from ghn.meta.targets import Target


class Network(nn.Module):
    """One layer on four numbers; `fail` raises."""

    def __init__(self, fail: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3, device="meta")
        self.fail = fail
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.fail:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.modes.append(self.training)
        return self.layer(images.flatten(1))


def weights(seed: int = 0, scale: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "layer.weight": scale * torch.randn(3, 4, generator=generator),
        "layer.bias": scale * torch.randn(3, generator=generator),
    }


def batches(count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Images whose class their first numbers tell."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        labels = torch.randint(0, 3, (12,), generator=generator)
        images = torch.randn(12, 4, generator=generator) + 3 * functional.one_hot(labels, 4)
        found.append((images.view(12, 1, 2, 2), labels))
    return found


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_the_steps_are_those_of_sgd_with_momentum(steps: int) -> None:
    start, training, held_out = weights(), batches(steps, 1), batches(3, 2)
    weight, bias = (tensor.clone().double() for tensor in start.values())
    speed_w, speed_b = torch.zeros_like(weight), torch.zeros_like(bias)
    for images, labels in training:
        x = images.flatten(1).double()
        error = (x @ weight.t() + bias).softmax(dim=1) - functional.one_hot(labels, 3)
        speed_w = MOMENTUM * speed_w + error.t() @ x / len(x)
        speed_b = MOMENTUM * speed_b + error.mean(dim=0)
        weight, bias = weight - 0.05 * speed_w, bias - 0.05 * speed_b
    right = torch.cat([(x.flatten(1).double() @ weight.t() + bias).argmax(1) == labels for x, labels in held_out])
    network, before = Network(), {name: tensor.clone() for name, tensor in start.items()}
    found = accuracy_after_steps(network, start, training, held_out, rate=0.05)
    assert found == pytest.approx(float(right.float().mean()))
    assert all(torch.equal(start[name], tensor) for name, tensor in before.items())
    assert network.modes == [True] * steps + [False] * 3


def test_weights_that_go_to_infinity_are_wrong() -> None:
    assert accuracy_after_steps(Network(), weights(scale=1e30), batches(4, 1), batches(1, 2), rate=1e20) < 0.9
    start = {name: tensor * math.inf for name, tensor in weights().items()}
    assert accuracy_after_steps(Network(), start, batches(4, 1), batches(1, 2), rate=0.1) == 0


class Hypernet(nn.Module):
    """Its graphs are seeds of weights."""

    def forward(self, graphs: Sequence[Any]) -> list[dict[str, Tensor]]:
        assert not self.training
        assert not torch.is_grad_enabled()
        return [weights(seed) for seed in graphs]


def an_adaptation(*, fail: Sequence[int] = (), rates: Sequence[float] = (1e-6, 0.1)) -> tuple[Adaptation, list[int]]:
    made: list[int] = []

    def random(index: int) -> Mapping[str, Tensor]:
        made.append(index)
        return weights(100 + index)

    targets = [Target(network=Network(index in fail), graph=index) for index in range(3)]  # type: ignore[arg-type]
    return (
        Adaptation(targets=targets, random=random, training=batches(6, 1), held_out=batches(4, 2), rates=rates),
        made,
    )


class Dropping(Network):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(functional.dropout(images, 0.5, self.training))


def test_draws_inside_a_network_are_the_same_every_time() -> None:
    adaptation, _ = an_adaptation()
    adaptation.targets = [Target(network=Dropping(), graph=target.graph) for target in adaptation.targets]
    found = []
    for _ in range(2):
        torch.rand(3)
        found.append(adaptation.from_predicted(Hypernet()))
    assert found[0] == found[1]


@torch.no_grad()
def test_each_start_has_the_rate_that_is_best_on_the_mean() -> None:
    adaptation, made = an_adaptation()
    by_rate = [
        sum(
            accuracy_after_steps(Network(), weights(seed), adaptation.training, adaptation.held_out, rate=rate)
            for seed in range(3)
        )
        / 3
        for rate in adaptation.rates
    ]
    assert by_rate[1] > by_rate[0]
    hypernet = Hypernet().train()
    assert adaptation.from_predicted(hypernet) == pytest.approx(by_rate[1])
    assert hypernet.training
    assert made == []
    from_random = adaptation.from_random()
    assert from_random != pytest.approx(by_rate[1])
    assert adaptation.from_random() == from_random
    assert made == [0, 1, 2]


def test_networks_without_memory_are_left_out() -> None:
    adaptation, _ = an_adaptation(fail=[1])
    assert 0 <= adaptation.from_predicted(Hypernet()) <= 1
    assert math.isnan(an_adaptation(fail=[0, 1, 2])[0].from_predicted(Hypernet()))
