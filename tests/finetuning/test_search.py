"""Short trainings of single networks."""

from __future__ import annotations

import json
import math
import re
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch.nn import functional

from ghn.data import ImageStream, load
from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.search import search
from ghn.initializers.noise import add_noise
from ghn.training.signals import StoppedError
from ghn.training.state import StateError, load_state, save_state
from tests.warm import Program

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
    for rate in CONFIG.rates:
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
    result = search(mine, stream, lambda network: negative_loss(stream, network), CONFIG)
    scores = {rate: negative_loss(stream, network) for rate, network in finals.items()}
    assert result.scores == pytest.approx(scores, rel=1e-4)
    assert result.learning_rate == max(scores, key=lambda rate: scores[rate])
    for parameter, wanted in zip(mine.parameters(), finals[result.learning_rate].parameters(), strict=True):
        torch.testing.assert_close(parameter, wanted, rtol=1e-4, atol=1e-6)
    assert result.steps == 4


def test_a_rate_that_diverges_is_passed_over(stream: ImageStream) -> None:
    config = replace(CONFIG, learning_rates=(1e30, 0.01))
    result = search(a_network(), stream, lambda network: negative_loss(stream, network), config)
    assert result.learning_rate == 0.01
    assert result.scores[1e30] == -math.inf


def test_divergence_with_every_rate_says_so(stream: ImageStream) -> None:
    with pytest.raises(ValueError, match=r"diverged with every learning rate of \(1e\+30,\); try lower ones"):
        search(a_network(), stream, lambda _: 0.0, replace(CONFIG, learning_rates=(1e30,)))


def test_cosine_and_clipping_change_the_training(stream: ImageStream) -> None:
    losses = [
        search(a_network(), stream, lambda _: 0.0, replace(CONFIG, **changes)).losses
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
    search(network, stream, lambda _: 0.0, replace(CONFIG, learning_rates=(0.01,), noise=1e-5))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_seed_decides_the_noise(stream: ImageStream) -> None:
    starts = []
    for seed in (0, 0, 1):
        network = a_network()
        config = replace(CONFIG, steps=1, learning_rates=(1e-30,), noise=1e-2, seed=seed)
        search(network, stream, lambda _: 0.0, config)
        starts.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be positive, not 0"),
        ({"learning_rates": ()}, "learning_rates must be at least one"),
        ({"learning_rates": (0.1, -1.0)}, "learning_rates must be positive, not "),
        ({"schedule": "linear"}, "schedule must be cosine, steps, thirds or constant, not 'linear'"),
        ({"precision": "float8"}, "precision must be float32, bfloat16 or float16, not 'float8'"),
        ({"noise": -1.0}, r"noise must be at least 0, not -1\.0"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def a_moody_network() -> nn.Sequential:
    """With what a resumed training can get wrong: draws, running statistics, momentum."""
    torch.manual_seed(1)
    layers = nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3)
    return nn.Sequential(*layers, nn.Linear(16, 10))


SAVED = replace(CONFIG, epochs=3.0, learning_rates=(0.1, 1e30, 0.02), noise=1e-3, clip=1.0, save_every=3, log_every=1)

PROGRAM = """
import sys, time
from ghn.data import ImageStream, load
from ghn.finetuning.search import search
from tests.finetuning.test_search import SAVED, a_moody_network, negative_loss

stream = ImageStream(load("digits").subset(range(256)), batch_size=32)
network = a_moody_network()
network.register_forward_hook(lambda *_: time.sleep(0.03))
search(network, stream, lambda network: negative_loss(stream, network), SAVED, sys.argv[1])
print("done", flush=True)
"""


def _assert_same(first: nn.Module, second: nn.Module) -> None:
    for (name, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_kept_training_gives_what_one_in_memory_does(stream: ImageStream, tmp_path: Path) -> None:
    networks = a_moody_network(), a_moody_network()
    judge = partial(negative_loss, stream)
    results = [search(networks[0], stream, judge, SAVED), search(networks[1], stream, judge, SAVED, tmp_path)]
    assert results[0] == results[1]
    _assert_same(*networks)
    lines = (tmp_path / "rate-0.1" / "log.jsonl").read_text().splitlines()
    assert results[0].learning_rate == 0.1
    assert [json.loads(line)["loss"] for line in lines] == results[0].losses
    assert len(lines) == 24
    # A finished one is read, not trained again.
    again = a_moody_network()
    stamp = (tmp_path / "rate-0.1" / "state.pt").stat().st_mtime_ns
    assert search(again, stream, judge, SAVED, tmp_path) == results[0]
    assert (tmp_path / "rate-0.1" / "state.pt").stat().st_mtime_ns == stamp
    _assert_same(again, networks[0])


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_bit_for_bit(stream: ImageStream, tmp_path: Path) -> None:
    # Killed once the start, a state in the middle of each training, and a result are there.
    for moment in ("start/state.pt", "rate-0.1/state-previous.pt", "rate-0.1/result.json", "rate-0.02/state.pt"):
        with Program(PROGRAM, str(tmp_path / "run")) as process:
            while not (tmp_path / "run" / moment).exists():
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.005)
            process.kill()
            assert "done" not in process.stdout.read()
    state = load_state(tmp_path / "run" / "rate-0.02")
    assert state is not None
    assert 0 < state["step"] < 24
    killed, whole = a_moody_network(), a_moody_network()
    judge = partial(negative_loss, stream)
    expected = search(whole, stream, judge, SAVED, tmp_path / "whole")
    assert search(killed, stream, judge, SAVED, tmp_path / "run") == expected
    _assert_same(killed, whole)
    for rate in ("0.1", "0.02"):
        first, second = (
            torch.load(tmp_path / run / f"rate-{rate}" / "state.pt", weights_only=True) for run in ("run", "whole")
        )
        for name in ("optimizer", "losses", "step", "random_state"):
            torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


def test_a_signal_saves_what_was_done(stream: ImageStream, tmp_path: Path) -> None:
    config, judge = replace(SAVED, save_every=1000, learning_rates=(0.1,)), partial(negative_loss, stream)
    stopped, whole = a_moody_network(), a_moody_network()
    seen: list[int] = []

    def stop(*_: object) -> None:
        seen.append(1)
        if len(seen) == 5:
            signal.raise_signal(signal.SIGTERM)

    handle = stopped.register_forward_hook(stop)
    with pytest.raises(StoppedError, match=r"stopped after step 5 with learning rate 0\.1"):
        search(stopped, stream, judge, config, tmp_path)
    handle.remove()
    assert search(stopped, stream, judge, config, tmp_path) == search(whole, stream, judge, config)
    _assert_same(stopped, whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"momentum": 0.5}, "holds a fine-tuning with momentum=0.9, not 0.5"),
        ({"epochs": 4.0}, "with epochs=3.0, not 4"),
    ],
)
def test_another_finetuning_in_the_folder_is_refused(
    stream: ImageStream, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    judge = partial(negative_loss, stream)
    short = replace(SAVED, learning_rates=(0.1,))
    search(a_moody_network(), stream, judge, short, tmp_path)
    with pytest.raises(StateError, match=re.escape(message)):
        search(a_moody_network(), stream, judge, replace(short, **changes), tmp_path)
    with pytest.raises(StateError, match="holds the fine-tuning of another network or start; take another folder"):
        search(a_network(), stream, judge, short, tmp_path)
    other = a_moody_network()
    with torch.no_grad():
        next(other.parameters()).zero_()
    with pytest.raises(StateError, match="another network or start"):
        search(other, stream, judge, short, tmp_path)


def test_rates_that_print_alike_are_different_trainings(stream: ImageStream, tmp_path: Path) -> None:
    config = replace(SAVED, learning_rates=(0.1, 0.10000001), epochs=0.5)
    search(a_moody_network(), stream, partial(negative_loss, stream), config, tmp_path)
    assert {folder.name for folder in tmp_path.iterdir() if folder.is_dir()} == {"start", "rate-0.1", "rate-0.10000001"}


@pytest.mark.parametrize("first", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_never_wins(stream: ImageStream, tmp_path: Path, first: float) -> None:
    config = replace(SAVED, learning_rates=(0.1, 0.02), epochs=0.5)
    for folder in (None, tmp_path):
        judge = Mock(side_effect=[first, 0.5])
        result = search(a_moody_network(), stream, judge, config, folder)
        assert (result.learning_rate, result.scores) == (0.02, {0.1: -math.inf, 0.02: 0.5})
    assert search(a_moody_network(), stream, lambda _: math.nan, config, tmp_path) == result


def test_an_older_network_is_not_taken_for_the_one_that_was_judged(stream: ImageStream, tmp_path: Path) -> None:
    config = replace(SAVED, learning_rates=(0.1,))
    networks = a_moody_network(), a_moody_network()
    judge = partial(negative_loss, stream)
    expected = search(networks[0], stream, judge, config, tmp_path)
    state = tmp_path / "rate-0.1" / "state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        assert search(networks[1], stream, judge, config, tmp_path) == expected
    _assert_same(*networks)


def test_a_damaged_start_names_the_folder_to_delete(stream: ImageStream, tmp_path: Path) -> None:
    config, judge = replace(SAVED, learning_rates=(0.1,), epochs=0.2), partial(negative_loss, stream)
    search(a_moody_network(), stream, judge, config, tmp_path)
    contents: list[Any] = [{"config": {}}, [1], {"config": 3, "given": "", "network": {}}]
    for content in contents:
        save_state(tmp_path / "start", content)
        (tmp_path / "start" / "state-previous.pt").unlink()
        with pytest.raises(StateError, match=rf"{re.escape(str(tmp_path))}.*(to begin anew|take another folder)$"):
            search(a_moody_network(), stream, judge, config, tmp_path)


def test_half_precision_begins_with_overflows(stream: ImageStream) -> None:
    config = replace(CONFIG, precision="float16", epochs=2.0, learning_rates=(0.01,))
    network = a_network()
    with torch.no_grad():
        network[4].weight.mul_(100)  # type: ignore[union-attr, operator]
    result = search(network, stream, partial(negative_loss, stream), config)
    assert result.losses[-1] < result.losses[0]


def test_nothing_to_train_is_one_line(stream: ImageStream) -> None:
    for network in (nn.Sequential(nn.BatchNorm2d(3, affine=False)), a_network().requires_grad_(False)):
        with pytest.raises(ValueError, match="has no parameter that requires a gradient: nothing can be trained"):
            search(network, stream, lambda _: 0.0, CONFIG)
