"""Whole runs: logs, resuming bit for bit, signals, crashes, and other ways a run ends."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ghn
from ghn.data import DataError, ImageStream
from ghn.meta import run as run_module
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.images import open_images
from ghn.meta.run import starting_weights, train
from ghn.training import loop as loop_module
from ghn.training.ranks import Ranks
from ghn.training.state import CURRENT, StateError, load_state
from ghn.training.trainer import NonFiniteError
from tests.meta.tiny import TINY
from tests.training.linear import assert_same
from tests.warm import Program

CONFIG = replace(
    TINY,
    meta_batch=2,
    images=4,
    steps=4,
    hold_out=300,
    save_every=100,
    validation_networks=1,
)
TIMES = ("elapsed", "memory_gb")


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def without_times(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in entry.items() if name not in TIMES and not name.startswith("seconds")}
        for entry in entries
    ]


def state_of(folder: Path) -> dict[str, Any]:
    state = load_state(folder)
    assert state is not None
    return state


def test_a_run_leaves_config_log_and_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(CONFIG, steps=3, log_every=2, validate_every=3)
    trainer = train(config, tmp_path / "run", device="cpu")
    assert MetaTrainingConfig.from_dict(json.loads((tmp_path / "run" / "config.json").read_text())) == config
    training, validation = log_of(tmp_path / "run")
    assert training["step"] == 2
    assert {"loss", "accuracy", "penalty", "gradient_norm", "parameter_norm", "update_norm"} <= training.keys()
    parts = ("data", "hypernet_forward", "target_forward", "target_backward", "hypernet_backward", "optimizer")
    assert all(training[f"seconds_{part}"] > 0 for part in parts)
    assert validation["step"] == 3
    assert 0 <= validation["validation_accuracy"] <= 1
    state = state_of(tmp_path / "run")
    assert state["step"] == 3
    assert_same(state["hypernet"], trainer.stepper.module.state_dict())
    assert "1 held-out networks on held-out images: accuracy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"workers": 1, "accumulate": 1},
        pytest.param({"shared_images": False}, marks=pytest.mark.slow),
        {"precision": "float16"},
        pytest.param(
            {"initialization": "variance", "inner_steps": 1, "weight_noise": 0.1}
            | {"validate_every": 1, "adapt_steps": 2, "select_by": "adapted"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_resumed_run_goes_on_bit_for_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = replace(CONFIG, **changes)
    train(config, tmp_path / "whole", device="cpu")
    train(config, tmp_path / "parts", device="cpu", stop_after=1)
    torch.rand(7)
    train(config, tmp_path / "parts", device="cpu", stop_after=2)
    train(config, tmp_path / "parts", device="cpu")
    assert state_of(tmp_path / "parts")["step"] == 4
    assert_same(state_of(tmp_path / "whole"), state_of(tmp_path / "parts"))
    assert without_times(log_of(tmp_path / "whole")) == without_times(log_of(tmp_path / "parts"))


def test_a_run_starts_from_other_weights_once(tmp_path: Path) -> None:
    torch.manual_seed(5)
    other = ghn.GHN(CONFIG.hypernet)
    other.save_pretrained(tmp_path / "other")
    config = replace(CONFIG, start_from=str(tmp_path / "other"), learning_rate=1e-9, weight_decay=0.0)
    trainer = train(config, tmp_path / "run", device="cpu", stop_after=1)
    for name, value in trainer.stepper.module.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], atol=1e-6, rtol=0)
    # What goes on has its own weights, and does not look for the others.
    for file in (tmp_path / "other").iterdir():
        file.unlink()
    assert train(config, tmp_path / "run", device="cpu", stop_after=1).step_count == 2
    with pytest.raises(StateError, match="a run with start_from="):
        train(replace(config, start_from=None), tmp_path / "run", device="cpu")


def test_other_weights_must_fit(tmp_path: Path) -> None:
    ghn.GHN(replace(CONFIG.hypernet, layers=2)).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=r"other has layers=2, the run 1; leave out that option"):
        train(replace(CONFIG, start_from=str(tmp_path / "other")), tmp_path / "run", device="cpu")


def test_averaged_weights_are_validated_too(tmp_path: Path) -> None:
    train(replace(CONFIG, steps=2, validate_every=2, average=0.9), tmp_path, device="cpu")
    assert 0 <= log_of(tmp_path)[-1]["validation_accuracy_average"] <= 1


@pytest.mark.slow
def test_accuracy_after_some_steps_is_validated_and_chooses(tmp_path: Path) -> None:
    config = replace(CONFIG, images=16, adapt_steps=3, validate_every=1, select_by="adapted", learning_rate=0.1)
    trainer = train(config, tmp_path, device="cpu")
    found = [entry for entry in log_of(tmp_path) if "adapted_accuracy" in entry]
    values = [entry["adapted_accuracy"] for entry in found]
    assert len(values) == 4
    assert all(0 <= value <= 1 for value in values)
    # The networks' own weights, networks and images are the same every time.
    assert len({entry["adapted_accuracy_random"] for entry in found}) == 1
    best = state_of(tmp_path)["best"]
    assert best["value"] == max(values)
    assert best["step"] == found[values.index(max(values))]["step"]
    assert best["weights"].keys() == trainer.stepper.module.state_dict().keys()


def test_fresh_weights_have_the_scale_that_is_asked_for(tmp_path: Path) -> None:
    last = []
    for initialization in ("published", "variance"):
        torch.manual_seed(0)
        hypernet = starting_weights(replace(CONFIG, initialization=initialization), tmp_path)  # type: ignore[arg-type]
        last.append(float(hypernet.get_parameter("decoder.conv.2.weight").detach().norm()))
    assert last[1] > 2 * last[0]


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1)
    train(config, tmp_path, device="cpu")
    before = (tmp_path / CURRENT).read_bytes()
    assert train(config, tmp_path, device="cpu").step_count == 1
    assert (tmp_path / CURRENT).read_bytes() == before


def test_log_lines_from_after_the_last_save_are_replaced(tmp_path: Path) -> None:
    train(CONFIG, tmp_path, device="cpu", stop_after=1)
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write('{"step": 2, "loss": 99}\n{"step": 3, "lo')
    train(CONFIG, tmp_path, device="cpu", stop_after=1)
    assert [entry["step"] for entry in log_of(tmp_path)] == [1, 2]
    assert log_of(tmp_path)[1]["loss"] < 99


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    train(replace(CONFIG, steps=1), tmp_path, device="cpu")
    with pytest.raises(StateError, match=r"holds a run with meta_batch=2, not 3; take another folder, or that value"):
        train(replace(CONFIG, meta_batch=3), tmp_path, device="cpu")
    with pytest.raises(StateError, match=r"holds a run with hypernet=\{.*'layers': 1.*, not \{.*'layers': 2"):
        train(replace(CONFIG, hypernet=replace(CONFIG.hypernet, layers=2)), tmp_path, device="cpu")


def test_a_run_is_not_made_shorter_than_it_is(tmp_path: Path) -> None:
    train(replace(CONFIG, steps=2), tmp_path, device="cpu")
    with pytest.raises(StateError, match=r"has made 2 steps, more than 1; ask for more steps"):
        train(replace(CONFIG, steps=1), tmp_path, device="cpu")
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 2


def test_images_that_were_trained_on_are_not_held_out_later(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1, hold_out=0)
    train(config, tmp_path, device="cpu")
    with pytest.raises(StateError, match="holds a run with held_out=0, not 256"):
        train(replace(config, steps=2, validate_every=1), tmp_path, device="cpu")


def test_few_shot(tmp_path: Path) -> None:
    images = open_images(replace(CONFIG, few_shot=30), Ranks()).train
    assert isinstance(images, ImageStream)
    assert torch.bincount(images.image_set.labels).tolist() == [3] * 10
    with pytest.raises(DataError, match="2000 images were asked for"):
        open_images(replace(CONFIG, few_shot=2000), Ranks())


def test_validation_takes_networks_of_any_width(tmp_path: Path) -> None:
    # All networks of the split `val` have the same.
    space = replace(CONFIG.space, channels=(48, 64), max_megamacs=None)
    train(replace(CONFIG, steps=1, space=space, validate_every=1), tmp_path, device="cpu")
    assert "validation_accuracy" in log_of(tmp_path)[-1]


def test_an_impossible_validation_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.deepnets.meta_batches.MAX_DRAWS", 40)
    with pytest.raises(ValueError, match="none of 40 drawn networks"):
        train(replace(CONFIG, space=replace(CONFIG.space, max_megamacs=1e-3), validate_every=4), tmp_path)
    assert not (tmp_path / "log.jsonl").exists()


def test_a_validation_without_memory_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ghn.evaluate.accuracy.functional_call", no_memory)
    assert train(replace(CONFIG, steps=2, validate_every=1), tmp_path, device="cpu").step_count == 2
    assert "step 1: no memory for any network of the validation" in capsys.readouterr().err


def test_a_length_in_minutes_ends_the_run(tmp_path: Path) -> None:
    assert train(replace(CONFIG, steps=1000, minutes=1e-6), tmp_path, device="cpu").step_count == 1


def test_classes_must_agree(tmp_path: Path) -> None:
    hypernet = replace(CONFIG.hypernet, num_classes=7)
    with pytest.raises(ValueError, match="digits has 10 classes, the hypernetwork is for 7; set num_classes"):
        train(replace(CONFIG, hypernet=hypernet), tmp_path, device="cpu")


def test_a_disk_that_is_full_for_a_while_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = loop_module.save_state, []

    def save(folder: Path, state: dict[str, Any]) -> None:
        calls.append(state["step"])
        if state["step"] == 2:
            raise OSError(28, "No space left on device")
        real(folder, state)

    monkeypatch.setattr(loop_module, "save_state", save)
    train(replace(CONFIG, save_every=1, steps=3), tmp_path, device="cpu")
    assert calls == [1, 2, 3]
    assert state_of(tmp_path)["step"] == 3
    assert "state of step 2 not saved" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), r"state of step 1 not saved .*No space left .*: free some space$"),
        (PermissionError(13, "Permission denied"), r"state of step 1 not saved .*Permission denied.* stays$"),
    ],
)
def test_a_last_state_that_cannot_be_saved_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    def save(folder: Path, state: dict[str, Any]) -> None:
        raise error

    monkeypatch.setattr(loop_module, "save_state", save)
    with pytest.raises(OSError, match=message):
        train(replace(CONFIG, steps=1), tmp_path, device="cpu")


def test_steps_that_stay_non_finite_end_the_run_with_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, save_every=1, max_nonfinite=2)
    train(config, tmp_path, device="cpu", stop_after=1)
    good = (tmp_path / CURRENT).read_bytes()
    monkeypatch.setattr(run_module, "_channels_last", lambda batch: (batch[0] * torch.nan, batch[1]))
    with pytest.raises(NonFiniteError, match="2 steps in a row"):
        train(config, tmp_path, device="cpu")
    assert (tmp_path / CURRENT).read_bytes() == good


PROGRAM = """
import json, sys
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.run import train
train(MetaTrainingConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2], device="cpu")
"""


def start(config: MetaTrainingConfig, folder: Path, **environment: str) -> Program:
    """The run in a process of its own."""
    return Program(PROGRAM, json.dumps(config.to_dict()), str(folder), env={**os.environ, **environment})


def wait_for_step(folder: Path, step: int, process: Program) -> None:
    deadline = time.monotonic() + 300
    while not (folder / "log.jsonl").exists() or len((folder / "log.jsonl").read_text().splitlines()) < step:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_sigterm_saves_the_state_and_kill_loses_no_more_than_the_steps_since(tmp_path: Path) -> None:
    endless = replace(CONFIG, steps=10**6, save_every=2, workers=1)
    with start(endless, tmp_path) as process:
        wait_for_step(tmp_path, 3, process)
        # As job schedulers do: to all processes of the job, those that prepare networks too.
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=120) == 0
        assert "which is saved; the same command goes on" in process.stderr.read()
    stopped = state_of(tmp_path)["step"]
    assert stopped == log_of(tmp_path)[-1]["step"] >= 3
    with start(endless, tmp_path) as process:
        wait_for_step(tmp_path, stopped + 3, process)
        process.kill()
    logged = log_of(tmp_path)[-1]["step"]
    assert logged - 2 <= state_of(tmp_path)["step"] <= logged + 1
    # What was trained in three parts is what one process trains.
    last = state_of(tmp_path)["step"]
    train(endless, tmp_path / "whole", device="cpu", stop_after=last)
    mine, whole = state_of(tmp_path), state_of(tmp_path / "whole")
    assert_same(mine["hypernet"], whole["hypernet"])


FROM_BEFORE = {
    5: (2.2948617935180664, 55.001033782958984),
    6: (2.301119565963745, 106.70796966552734),
    7: (2.2668838500976562, 115.10491180419922),
    8: (2.278451919555664, 54.4262809753418),
}
"""Loss and penalty by step, of version 0.1 going on from its own state of step 4."""


def test_a_state_of_the_version_before_goes_on_with_its_losses(tmp_path: Path) -> None:
    (tmp_path / CURRENT).write_bytes((Path(__file__).parent / "state-of-version-0.1.pt").read_bytes())
    saved = state_of(tmp_path)
    assert "momentum" not in saved["config"]
    trainer = train(MetaTrainingConfig.from_dict(saved["config"]), tmp_path, device="cpu")
    assert trainer.step_count == 8
    losses = {entry["step"]: (entry["loss"], entry["penalty"]) for entry in log_of(tmp_path) if "loss" in entry}
    assert losses.keys() == FROM_BEFORE.keys()
    # Bit for bit on one machine; others round in other places, PyTorch 2.6 in more of them.
    allowed = 5e-4 if torch.__version__.startswith("2.6.") else 1e-4
    for step, expected in FROM_BEFORE.items():
        assert losses[step] == pytest.approx(expected, rel=allowed)
