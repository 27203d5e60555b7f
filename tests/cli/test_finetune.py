"""`ghn finetune`, from the command line to weights that a model's own library loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ghn.cli import finetune
from ghn.data import ImageStream, load
from ghn.finetuning import FinetuneConfig
from ghn.training.ranks import RankLostError
from tests.cli.conftest import Run
from tests.users_models import ZOO

pytest.importorskip("sklearn")

Ghn = Callable[..., Run]
Refused = Callable[..., str]

QUICK = ("--steps", "2", "--learning-rates", "0.05", "--test-images", "100", "--hold-out", "50")
OUTPUT = ("-o", "OUT/x.safetensors")


def test_weights_load_strictly_and_have_the_accuracy_that_is_told(ghn: Ghn, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    words = ("finetune", "squeezenet1_1", "--image-size", "64", *QUICK, *OUTPUT, "--average", "0.5", "--json")
    result = ghn(*words, "--init", "ghn", "--test-images", "60")
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record == json.loads((tmp_path / "x.finetune.json").read_text())
    assert (record["data"]["image_size"], len(record["data"]["classes"])) == (64, 10)
    model = torchvision.models.squeezenet1_1(num_classes=10)
    for name, told in (("x", "accuracy"), ("x.averaged", "averaged")):
        model.load_state_dict(load_file(tmp_path / f"{name}.safetensors"), strict=True)
        stream = ImageStream(load("digits", split="test"), batch_size=64, image_size=64)
        images, labels = (part[:60] for part in stream.batch(0))
        with torch.no_grad():
            right = float((model.eval()(images).argmax(1) == labels).double().mean())
        assert record["result"]["history"][-1][told] == pytest.approx(right)
    assert record["result"]["start"]["name"] == "ghn:ghn3-t-cifar10"


def test_what_it_shows(ghn: Ghn, tmp_path: Path) -> None:
    words = ("finetune", "zoo:net", *QUICK, "--learning-rates", "0.05", "0.01", "--folder", "OUT/run")
    result = ghn(*words)
    assert result.code == 0, result.err
    for part in ("zoo:net on digits, test accuracy", "its own initialisation", "at the start", "held-out images right"):
        assert part in result.out
    assert "training from step 0 on, 2 steps in all" in result.err
    assert (tmp_path / "run" / "rate-0.05" / "state.pt").exists()
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert set(written["scores"]) == {"0.05", "0.01"}
    silent = ghn(*words[:-1], "OUT/other", "--quiet")
    assert (silent.code, silent.out, silent.err) == (0, "", "")


def test_the_same_seed_gives_the_same(ghn: Ghn) -> None:
    losses = [
        json.loads(ghn("finetune", "zoo:net", *QUICK, "--json", "--seed", seed).out)["result"]["losses"]
        for seed in ("1", "1", "2")
    ]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("resnet5", *QUICK), "did you mean resnet50"),
        (("zoo:net", *QUICK, "--init", "orthogonl"), "unknown initialiser 'orthogonl'; did you mean orthogonal"),
        (("zoo:net", *QUICK, "--data", "digit"), "digit is no data set, and no folder of images; did you mean digits?"),
        (("zoo:net", *QUICK, "--optimizer", "lmb"), "unknown optimizer 'lmb'; did you mean lamb"),
        (("zoo:net,classes=7", *QUICK), "takes no option classes"),
        (("zoo:net", *QUICK, "--learning-rates", "-1"), "--learning-rates must be positive, not (-1.0,)"),
        (("zoo:net", *QUICK, "-o", "OUT/x.pt"), "must end in .safetensors"),
        (("zoo:net", *QUICK, "-o", "OUT/no/x.safetensors"), "no does not exist; make it first"),
        (("zoo:net", *QUICK, "--batch-size", "5000"), "batches of 5000 cannot be cut from the 1247 images of digits"),
        (("zoo:net", *QUICK, "--learning-rates", "1e30", "--steps", "4"), "diverged with every learning rate"),
        (("zoo:net", *QUICK, "--folder", "zoo.py"), "zoo.py is no folder, and cannot keep"),
    ],
)
def test_bad_input(words: tuple[str, ...], part: str, refused: Refused) -> None:
    if "lmb" in words:
        pytest.importorskip("timm")
    assert part in refused("finetune", *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is there")
def test_a_device_that_is_not_there(refused: Refused) -> None:
    assert "--device cuda: PyTorch finds no CUDA device; choose another, or cpu" in refused(
        "finetune", "zoo:net", *QUICK, "--device", "cuda"
    )


def test_a_run_that_cannot_go_on_is_told_in_a_line(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise RankLostError("a process of the run has gone; give the command again")

    monkeypatch.setattr("ghn.finetuning.finetune", lost)
    assert refused("finetune", "zoo:net", *QUICK, code=1) == "a process of the run has gone; give the command again"


def test_every_setting_is_an_option_with_its_default() -> None:
    options = {entry.name: entry.default for entry in fields(finetune.Options)}
    config = {entry.name: entry.default for entry in fields(FinetuneConfig)}
    # One of the learning rates that are tried.
    del config["learning_rate"]
    # Of which none is typed as 0.
    assert (options.pop("steps"), config.pop("steps")) == (None, 0)
    assert {name: options[name] for name in config} == config
    assert set(options) - set(config) == {"model", "output", "force", "folder", "device", "quiet", "json"}


def heed_ctrl_c() -> None:
    """Shells let what they start in the background ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


MARKED = """

def marked(**options):
    import pathlib

    import torch

    def note(network, given):
        if network.training and torch.is_grad_enabled():
            pathlib.Path("training").touch()

    network = net(**options)
    network.register_forward_pre_hook(note)
    return network
"""
"""A network that leaves a file when it is trained."""


@pytest.mark.parametrize("kept", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_ctrl_c_says_whether_it_can_go_on(kept: bool, tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text(ZOO + MARKED)
    words = ["finetune", "zoo:marked", "--steps", "1000000", "--learning-rates", "0.05", "--save-every", "5"]
    words += ["--folder", "run"] if kept else []
    command = [sys.executable, "-m", "ghn", *words]
    environment: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heed_ctrl_c
    )
    try:
        while not (tmp_path / ("run/rate-0.05/state.pt" if kept else "training")).exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    last = errors.strip().splitlines()[-1]
    if kept:
        assert "interrupted: stopped after step" in last
        assert last.endswith("it is saved in run, and the same command goes on")
    else:
        assert last == "error: interrupted: nothing was saved; with --folder RUN it can go on"


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    """Two processes say once what one says."""
    (tmp_path / "zoo.py").write_text(ZOO)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "ghn", "finetune", "zoo:net", *QUICK, "--json", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = [
        json.loads(
            subprocess.run(
                [*start, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=True
            ).stdout
        )["result"]
        for start in (torchrun, [sys.executable])
    ]
    assert found[0]["losses"] == pytest.approx(found[1]["losses"], rel=1e-4)
    assert found[0]["accuracy"] == found[1]["accuracy"]


def test_a_training_that_is_worse_than_its_start_is_told(ghn: Ghn) -> None:
    words = ("finetune", "zoo:net", "--init", "default+calibrate", "--steps", "2", "--test-images", "100")
    lost, kept = (ghn(*words, "--learning-rates", rate) for rate in ("2", "1e-9"))
    assert "the training lost what the start had; smaller --learning-rates" in lost.out, lost.err
    assert "the training lost" not in kept.out
