"""Short trainings of single networks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from ghn.data import ImageStream, load
from ghn.finetune.config import FinetuneConfig
from ghn.finetune.run import add_noise, finetune

CONFIG = FinetuneConfig(epochs=0.5, learning_rates=(0.1, 0.01), noise=0.0, clip=None, schedule="constant")


@pytest.fixture(scope="module")
def stream() -> ImageStream:
    return ImageStream(load("digits").subset(range(256)), batch_size=32)


def a_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 10))


def negative_loss(stream: ImageStream, network: nn.Module) -> float:
    images, labels = stream.batch(5)
    with torch.no_grad():
        return -float(functional.cross_entropy(network(images), labels))


def test_it_is_sgd_with_the_best_rate(stream: ImageStream) -> None:
    finals = {}
    for rate in CONFIG.learning_rates:
        network = a_network()
        velocity = [torch.zeros_like(parameter) for parameter in network.parameters()]
        for step in range(4):
            images, labels = stream.batch(step)
            functional.cross_entropy(network(images), labels).backward()
            with torch.no_grad():
                for parameter, speed in zip(network.parameters(), velocity, strict=True):
                    assert parameter.grad is not None
                    speed.mul_(0.9).add_(parameter.grad + 3e-5 * parameter)
                    parameter.sub_(rate * speed)
                    parameter.grad = None
        finals[rate] = network
    mine = a_network()
    result = finetune(mine, stream, lambda network: negative_loss(stream, network), CONFIG)
    scores = {rate: negative_loss(stream, network) for rate, network in finals.items()}
    assert result.scores == pytest.approx(scores, rel=1e-4)
    assert result.learning_rate == max(scores, key=lambda rate: scores[rate])
    for parameter, wanted in zip(mine.parameters(), finals[result.learning_rate].parameters(), strict=True):
        torch.testing.assert_close(parameter, wanted, rtol=1e-4, atol=1e-6)
    assert result.steps == 4


def test_a_rate_that_diverges_is_passed_over(stream: ImageStream) -> None:
    config = replace(CONFIG, learning_rates=(1e30, 0.01))
    result = finetune(a_network(), stream, lambda network: negative_loss(stream, network), config)
    assert result.learning_rate == 0.01
    assert result.scores[1e30] == -math.inf


def test_divergence_with_every_rate_says_so(stream: ImageStream) -> None:
    with pytest.raises(ValueError, match=r"diverged with every learning rate of \(1e\+30,\); try lower ones"):
        finetune(a_network(), stream, lambda _: 0.0, replace(CONFIG, learning_rates=(1e30,)))


def test_cosine_and_clipping_change_the_training(stream: ImageStream) -> None:
    losses = [
        finetune(a_network(), stream, lambda _: 0.0, replace(CONFIG, **changes)).losses
        for changes in ({}, {"schedule": "cosine"}, {"clip": 1e-3})
    ]
    assert losses[0][0] == losses[1][0] == losses[2][0]
    assert len({values[-1] for values in losses}) == 3


def test_noise_breaks_the_symmetry_of_tiled_copies_and_repeats() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    state = torch.get_rng_state()
    for network in [first, second]:
        nn.init.ones_(network.weight)
        add_noise(network, 1e-5, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.weight, second.weight)
    assert len(first.weight.unique()) == 16
    assert float(torch.std(first.weight.detach() - 1)) == pytest.approx(1e-5, rel=0.5)


def test_the_process_keeps_its_random_state(stream: ImageStream) -> None:
    network = a_network()
    network.append(nn.Dropout(0.1))
    state = torch.get_rng_state()
    finetune(network, stream, lambda _: 0.0, replace(CONFIG, learning_rates=(0.01,), noise=1e-5))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be positive, not 0"),
        ({"learning_rates": ()}, "learning_rates must be at least one"),
        ({"learning_rates": (0.1, -1.0)}, "learning_rates must be positive, not "),
        ({"schedule": "linear"}, "schedule must be cosine, steps or constant, not 'linear'"),
        ({"precision": "float8"}, "precision must be float32, bfloat16 or float16, not 'float8'"),
        ({"noise": -1.0}, r"noise must be at least 0, not -1\.0"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]
