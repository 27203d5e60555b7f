"""Fine-tuning as users call it, against the definition written out."""

from __future__ import annotations

import inspect
import json
import math
import random
import re
import signal
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import ghn
from ghn.data import DataError, ImageStream
from ghn.data.augment import Augmentation
from ghn.finetuning import FinetuneConfig, FinetuneResult, finetune
from ghn.training.signals import StoppedError
from ghn.training.state import StateError
from tests.data.folders import write_folder
from tests.finetuning.networks import QUICK, a_network, digits
from tests.processes import finish, group
from tests.warm import Program

pytest.importorskip("sklearn")


@torch.no_grad()
def share_right(network: nn.Module, images: Any) -> float:
    """Accuracy in evaluation mode, all images at once."""
    stream = ImageStream(images, batch_size=len(images))
    network.eval()
    inputs, labels = stream.batch(0)
    right = float((network(inputs).argmax(1) == labels).double().mean())
    network.train()
    return right


def test_it_is_a_plain_loop_from_the_given_parameters() -> None:
    train, test = digits()
    kept, held = train.hold_out(40)
    by_hand, losses = a_network(), []
    points = [(0, share_right(by_hand, test), share_right(by_hand, held))]
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.05, momentum=0.9, weight_decay=3e-5)
    stream = ImageStream(kept, batch_size=16, seed=3, augmentation=Augmentation())
    for step in range(7):
        images, labels = stream.batch(step)
        loss = functional.cross_entropy(by_hand(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step + 1 in (3, 6, 7):
            points.append((step + 1, share_right(by_hand, test), share_right(by_hand, held)))
    mine = a_network()
    result = finetune(mine, (train, test), seed=3, validate_every=3, **QUICK)
    assert result.losses == pytest.approx(losses, rel=1e-4)
    assert [point.step for point in result.history] == [0, 3, 6, 7]
    for point, (_, accuracy, validation) in zip(result.history, points, strict=True):
        assert (point.accuracy, point.validation) == (pytest.approx(accuracy), pytest.approx(validation))
    assert result.accuracy == result.history[-1].accuracy
    assert result.score == result.history[-1].validation
    for parameter, wanted in zip(mine.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(parameter, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mine.get_buffer("2.running_var"), by_hand.get_buffer("2.running_var"))


def test_the_loss_of_a_point_is_that_of_the_test_images() -> None:
    train, test = digits()
    network = a_network()
    result = finetune(network, (train, test), **QUICK)
    images, labels = ImageStream(test, batch_size=100).batch(0)
    with torch.no_grad():
        network.eval()
        assert result.history[-1].loss == pytest.approx(float(functional.cross_entropy(network(images), labels)))
        start = a_network().eval()
        assert result.history[0].loss == pytest.approx(float(functional.cross_entropy(start(images), labels)))


def test_the_best_rate_is_that_with_most_held_out_images_right() -> None:
    settings = QUICK | {"learning_rates": (1e-6, 0.05, 1e-5), "steps": 20}
    result = finetune(a_network(), digits(), **settings)
    alone = {
        rate: finetune(a_network(), digits(), **(settings | {"learning_rates": (rate,)})).history[-1].validation
        for rate in (1e-6, 0.05, 1e-5)
    }
    assert result.scores == alone
    assert result.learning_rate == 0.05


def test_without_held_out_images_the_training_loss_decides() -> None:
    result = finetune(a_network(), digits(), **(QUICK | {"hold_out": 0, "learning_rates": (1e-6, 0.05), "steps": 20}))
    assert result.learning_rate == 0.05
    assert result.score == pytest.approx(-sum(result.losses[-2:]) / 2)
    assert all(point.validation is None for point in result.history)


def test_a_start_by_name_comes_first_and_is_reported() -> None:
    given, expected = a_network(), a_network()
    ghn.initializers.create("ghn+noise:0.1rel")(expected, [(torch.zeros(2, 3, 32, 32), torch.zeros(2).long())], seed=5)
    settings = QUICK | {"steps": 1, "learning_rates": (1e-30,)}
    result = finetune(given, digits(), init="ghn+noise:0.1rel", seed=5, **settings)
    for parameter, wanted in zip(given.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(parameter, wanted)
    assert result.start is not None
    assert [step.name for step in result.start.steps] == ["ghn:ghn3-t-cifar10", "noise:0.1rel"]


def test_a_calibrated_start_knows_something_before_any_step() -> None:
    result = finetune(a_network(), digits(400), init="default+calibrate", **(QUICK | {"steps": 1}))
    assert result.history[0].accuracy > 0.6
    assert finetune(a_network(), digits(400), **(QUICK | {"steps": 1})).history[0].accuracy < 0.4


def test_averaged_weights_are_evaluated_and_given() -> None:
    result = finetune(a_network(), digits(), average=0.5, **QUICK)
    network = a_network()
    assert result.averaged is not None
    network.load_state_dict(result.averaged)
    assert result.history[-1].averaged == pytest.approx(share_right(network, digits()[1]))
    assert result.history[0].averaged == result.history[0].accuracy
    plain = finetune(a_network(), digits(), **QUICK)
    assert (plain.averaged, plain.history[0].averaged) == (None, None)


def test_test_images_can_be_fewer() -> None:
    result = finetune(a_network(), digits(), test_images=10, **QUICK)
    assert all((10 * point.accuracy) == pytest.approx(round(10 * point.accuracy)) for point in result.history)
    few = finetune(a_network(), digits(), few_shot=20, **(QUICK | {"learning_rates": (1e-30,), "steps": 2}))
    assert few.losses != result.losses[:2]


@pytest.mark.parametrize("mode", [True, False])
def test_modes_and_the_process_stay_as_they_were(mode: bool) -> None:
    network = a_network(dropout=0.5).train(mode)
    frozen = network.get_submodule("2").eval()
    before, statistics = torch.get_rng_state(), network.get_buffer("2.running_mean").clone()
    finetune(network, digits(), **QUICK)
    assert torch.equal(before, torch.get_rng_state())
    assert [module.training for module in network[:2]] == [mode, mode]
    assert not frozen.training
    # Frozen where the rest was in training mode.
    assert torch.equal(network.get_buffer("2.running_mean"), statistics) == mode


def test_outputs_of_other_kinds_are_scores_too() -> None:
    class Wrapped(nn.Module):
        def __init__(self, kind: str) -> None:
            super().__init__()
            self.network, self.kind = a_network(), kind

        def forward(self, images: Tensor) -> Any:
            scores = self.network(images)
            return {"tuple": (scores, None), "logits": {"loss": None, "logits": scores}}[self.kind]

    plain = finetune(a_network(), digits(), **QUICK)
    for kind in ("tuple", "logits"):
        assert finetune(Wrapped(kind), digits(), **QUICK).losses == plain.losses


def test_another_image_size() -> None:
    seen: list[tuple[int, ...]] = []
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    network.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[1:])))
    finetune(network, digits(), image_size=40, **QUICK)
    assert set(seen) == {(3, 40, 40)}


def test_every_field_is_a_keyword() -> None:
    given = inspect.signature(ghn.finetune).parameters
    assert {entry.name for entry in fields(FinetuneConfig)} <= set(given)
    assert given["steps"].default == FinetuneConfig().steps
    result = finetune(a_network(), digits(), FinetuneConfig(**(QUICK | {"steps": 2})), steps=3)
    assert result.steps == 3
    with pytest.raises(TypeError, match="no_such"):
        finetune(a_network(), digits(), no_such=1)  # type: ignore[call-arg]


# Bad input


class Broken(nn.Module):
    """Gives what is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.network = a_network()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images) * math.inf


class Asserting(nn.Linear):
    """Tells what it wants by an assertion, as vision transformers do."""

    def __init__(self) -> None:
        super().__init__(10, 10)

    def forward(self, images: Tensor) -> Tensor:
        raise AssertionError


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (a_network, {"init": "gnh"}, "unknown initialiser 'gnh'; did you mean ghn?"),
        (a_network, {"optimizer": "addam"}, "unknown optimizer 'addam'; did you mean"),
        (a_network, {"device": "tpu"}, "device must be cpu, cuda or cuda:N, not 'tpu'"),
        (lambda: a_network(7), {}, "Sequential has 7 outputs, digits has 10 classes; build it for 10 classes"),
        (lambda: a_network().append(nn.Unflatten(1, (5, 2))), {}, "output is of shape (2, 5, 2), and no scores"),
        (lambda: a_network().to("meta"), {}, "the model is on meta: trainings run on cpu or cuda"),
        (a_network, {"image_size": 16}, "Sequential cannot be run on images (2, 3, 16, 16): "),
        (Asserting, {}, "Asserting cannot be run on images (2, 3, 32, 32): AssertionError; image_size gives"),
        (a_network, {"batch_size": 161}, "batches of 161 cannot be cut from the 160 images of digits"),
        (a_network, {"hold_out": 200}, "200 of 200 images cannot be held out of digits"),
        (a_network, {"few_shot": 1000}, "1000 images were asked for"),
        (Broken, {}, "the loss of Broken or its gradient is not finite at the first step, whatever the learning rate"),
        (a_network, {"learning_rates": (1e30,)}, "diverged with every learning rate of (1e+30,); try lower ones"),
        (lambda: a_network().requires_grad_(False), {}, "has no parameter that requires a gradient"),
    ],
)
def test_what_cannot_be_is_one_line(network: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        finetune(network(), digits(), **(QUICK | settings))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is there")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="device cuda: PyTorch finds no CUDA device; choose another, or cpu"):
        finetune(a_network(), digits(), device="cuda", **QUICK)


def test_data_that_are_not_there() -> None:
    with pytest.raises(DataError, match=r"digts is no data set, and no folder of images; did you mean digits\?"):
        finetune(a_network(), "digts")


# Runs that end early


SAVED = QUICK | {"learning_rates": (0.05, 1e30, 0.02), "steps": 12, "validate_every": 4, "save_every": 3, "noise": 1e-4}
SAVED |= {"mixup": 0.3, "cutmix": 0.5, "augment": "trivialaugment", "average": 0.9, "init": "default+statistics"}
SAVED |= {"optimizer": "adamw", "warmup": 0.2, "schedule": "cosine"}

PROGRAM = """
import sys, time
from ghn.finetuning import finetune
from tests.finetuning.networks import a_network, digits
from tests.finetuning.test_run import SAVED

network = a_network(dropout=0.3)
network.register_forward_hook(lambda *_: time.sleep(0.05))
finetune(network, digits(), folder=sys.argv[1], **SAVED)
"""


def same(first: FinetuneResult, second: FinetuneResult) -> None:
    """All numbers, those of averaged weights too."""
    assert first == second
    assert first.averaged is not None
    assert second.averaged is not None
    for name, value in first.averaged.items():
        assert torch.equal(value, second.averaged[name]), name


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    whole, killed = a_network(dropout=0.3), a_network(dropout=0.3)
    expected = finetune(whole, digits(), **SAVED)
    later = random.Random(0)
    # In a start, in trainings with states of several steps, after one that diverged, and wherever that leads to.
    for moment in ("start/state.pt", "rate-0.05/state.pt", "rate-0.05/state-previous.pt", "rate-0.02/state.pt"):
        with Program(PROGRAM, str(tmp_path / "run")) as process:
            while not (tmp_path / "run" / moment).exists():
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.005)
            time.sleep(later.uniform(0.0, 0.2))
            process.kill()
    again = finetune(killed, digits(), folder=tmp_path / "run", **SAVED)
    same(again, expected)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, killed.state_dict()[name]), name
    # A finished one is read again, and says so in a file.
    same(finetune(a_network(dropout=0.3), digits(), folder=tmp_path / "run", **SAVED), expected)
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert written["history"] == expected.to_dict()["history"]
    assert written["scores"]["1e+30"] is None


@pytest.mark.parametrize("step", [4, 12])
def test_a_signal_saves_and_the_same_call_goes_on(step: int, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    stopped, seen = a_network(dropout=0.3), []

    def stop(network: nn.Module, *_: object) -> None:
        seen.append(network.training)
        if sum(seen) == step and seen[-1]:
            signal.raise_signal(signal.SIGINT)

    settings = SAVED | {"init": None}
    handle = stopped.register_forward_hook(stop)
    with pytest.raises(StoppedError, match=rf"stopped after step {step} with learning rate 0\.05"):
        finetune(stopped, digits(), folder=tmp_path, **settings)
    handle.remove()
    same(
        finetune(stopped, digits(), folder=tmp_path, **settings),
        finetune(a_network(dropout=0.3), digits(), **settings),
    )


def test_the_start_is_not_made_again_and_must_be_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = QUICK | {"init": "default+statistics"}
    first = finetune(a_network(), digits(), folder=tmp_path, **settings)
    monkeypatch.setattr("ghn.initializers.Chain.__call__", lambda *_: pytest.fail("made again"))
    second = finetune(a_network(), digits(), folder=tmp_path, **settings)
    assert second == first
    assert second.start == first.start
    assert second.start is not None
    with pytest.raises(StateError, match="holds a fine-tuning with init='default\\+statistics', not None"):
        finetune(a_network(), digits(), folder=tmp_path, **QUICK)


# Several processes


SHARED = QUICK | {"learning_rates": (0.05, 0.02), "steps": 6, "validate_every": 3, "save_every": 2, "batch_size": 13}
SHARED |= {"augment": "randaugment", "mixup": 0.3, "cutmix": 0.5, "noise": 1e-3, "init": "default+calibrate"}
FILES = {"image_size": 32, "test_images": 9}

PROCESS = """
import sys
import torch
from ghn.finetuning import finetune
from tests.finetuning.networks import a_network, digits
from tests.finetuning.test_run import FILES, SHARED

data, extra = (sys.argv[2], FILES) if len(sys.argv) > 2 else (digits(), {})
network = a_network()
result = finetune(network, data, folder=sys.argv[1], **SHARED | extra)
print(network.get_parameter("1.weight").sum().item(), result.accuracy)
"""


def close(first: FinetuneResult, second: FinetuneResult) -> None:
    """Alike to rounding."""
    assert first.losses == pytest.approx(second.losses, rel=1e-3)
    # Of few images, one may lie between two classes.
    assert first.scores == pytest.approx(second.scores, abs=0.1)
    assert first.learning_rate == second.learning_rate
    for one, other in zip(first.history, second.history, strict=True):
        assert one.step == other.step
        assert one.accuracy == pytest.approx(other.accuracy, abs=0.1)
        assert one.loss == pytest.approx(other.loss, rel=1e-3)


@pytest.mark.parametrize("kind", ["memory", pytest.param("files", marks=pytest.mark.slow)])
def test_two_processes_are_one(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    data: Any = digits()
    words, extra = [str(tmp_path / "two")], dict[str, Any]()
    if kind == "files":
        write_folder(tmp_path / "images", classes=10, size=40, count=12)
        data, extra = str(tmp_path / "images"), FILES
        words.append(data)
    outputs = finish(group(PROCESS, *words, world=2))
    # All have the same network and say the same.
    assert outputs[0] == outputs[1]
    alone = finetune(a_network(), data, folder=tmp_path / "one", **(SHARED | extra))
    # What they left is taken up by one process: nothing is trained again.
    two = finetune(a_network(), data, folder=tmp_path / "two", **(SHARED | extra))
    close(two, alone)


@pytest.mark.slow
def test_killed_processes_go_on_together(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    processes = group(PROCESS, str(tmp_path / "run"), world=2)
    while not (tmp_path / "run" / "rate-0.05" / "state.pt").exists():
        assert processes[0].poll() is None, processes[0].communicate()[1]
        time.sleep(0.01)
    for process in processes:
        process.kill()
        process.communicate()
    finish(group(PROCESS, str(tmp_path / "run"), world=2))
    alone = finetune(a_network(), digits(), **SHARED)
    close(finetune(a_network(), digits(), folder=tmp_path / "run", **SHARED), alone)
