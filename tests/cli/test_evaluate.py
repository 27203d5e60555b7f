"""`ghn evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ghn.evaluate
from ghn.cli import evaluate, parse
from ghn.cli.support.errors import CommandError
from ghn.data import DataError
from ghn.evaluate import Evaluation, EvaluationConfig
from tests.evaluate.some import RESULT, write_classes
from tests.evaluate.test_networks import MODULE

FEW = ("--data", "digits", "--test", "1", "--wide", "0", "--deep", "0", "--dense", "0", "--bnfree", "0")


def run(*words: str) -> None:
    evaluate.run(parse(evaluate, "evaluate", words))


def test_it_shows_and_saves_the_true_number_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    run(*FEW, "--no-predefined", "--images", "70", "-o", str(tmp_path / "result.json"))
    shown = capsys.readouterr()
    assert "digits, 70 test images, batch norms by statistics of the batch" in " ".join(shown.out.split())
    assert ["test", "ghn:ghn3-t-cifar10", "1"] in [line.split()[:3] for line in shown.out.splitlines()]
    assert shown.err.splitlines()[0].startswith("1/1 test 0 from ghn:ghn3-t-cifar10: ")
    record = json.loads((tmp_path / "result.json").read_text())
    assert [network["images"] for network in record["networks"]] == [70]
    assert record["hypernetwork_name"] == "ghn3-t-cifar10"


def test_models_from_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    (tmp_path / "mine.py").write_text(MODULE)
    name = f"{tmp_path / 'mine.py'}:make,width=6"
    words = ("--models", f"{name},{tmp_path / 'mine.py'}:model", "--init", "ghn,default", "default+calibrate")
    run(*words, "--data", "digits", "--images", "64", "--batch-norm", "running", "--json")
    shown = capsys.readouterr()
    assert shown.err == ""
    record = json.loads(shown.out)
    starts = ["ghn:ghn3-t-cifar10", "default", "default+calibrate"]
    assert [one["start"] for one in record["networks"]] == starts * 2
    assert [one["model"] for one in record["networks"]][::3] == [name, f"{tmp_path / 'mine.py'}:model"]
    assert {one["batch_norm_mode"] for one in record["networks"]} == {"running"}


def test_a_folder_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision")
    for split in ("train", "val"):
        write_classes(tmp_path / "images" / split, *"abc", count=8)
    (tmp_path / "mine.py").write_text(MODULE)
    model = f"{tmp_path / 'mine.py'}:make"
    words = ("--models", model, "--init", "default", "ghn+calibrate", "--data", str(tmp_path / "images"))
    run(*words, "--image-size", "32", "--calibration-images", "20")
    assert "24 test images" in " ".join(capsys.readouterr().out.split())


def test_networks_that_fail_end_it_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    (tmp_path / "mine.py").write_text(MODULE)
    names = [f"{tmp_path / 'mine.py'}:{name}" for name in ("make", "with_classes")]
    with pytest.raises(
        CommandError, match=r"1 of 2 could not be evaluated, e\.g\. .*mine\.py:with_classes from default: R"
    ):
        run("--models", *names, "--init", "default", "--data", "digits", "--images", "8")
    assert "test images" in capsys.readouterr().out


def test_what_was_done_before_an_error_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision")
    write_classes(tmp_path / "images" / "test", *"abcdefghij", count=7)
    (tmp_path / "mine.py").write_text(MODULE)
    models = [f"{tmp_path / 'mine.py'}:make", f"{tmp_path / 'mine.py'}:make,width=5"]
    words = ["--models", *models, "--init", "default", "--data", str(tmp_path / "images"), "--image-size", "32"]
    # The images of each network come in an order of its own: its first batch holds others than that of the next one.
    seen = []
    for number in range(2):
        seed = number * 1_000_003 * 1_000_003
        seen.append(set(torch.randperm(70, generator=torch.Generator().manual_seed(seed))[:64].tolist()))
    bad = min(seen[1] - seen[0])
    sorted((tmp_path / "images").rglob("*.png"))[bad].write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be read as an image"):
        run(*words, "--images", "64", "-o", str(tmp_path / "x.json"))
    record = json.loads((tmp_path / "x.json").read_text())
    assert (record["finished"], record["planned"]) == (1, 2)
    assert "1 of 2 done" in capsys.readouterr().out


def test_of_one_network_its_own_accuracy_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = replace(RESULT, top1=0.125)
    several = [replace(network, split="deep", top1=top1) for top1 in (0.25, 0.75)]
    found = Evaluation(config=EvaluationConfig(), hypernet={}, networks=(network, *several))
    monkeypatch.setattr(ghn.evaluate, "evaluate", lambda *_, **__: found)
    run()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["test", "ghn", "1", "12.5"] in rows
    assert ["deep", "ghn", "2", "50.0", "±", "25.0", "25.0", "to", "75.0"] in rows
    assert ["3", "of", "182", "done"] in rows


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "foo"], "--device must be cpu, cuda or cuda:N, not 'foo'"),
        (["--device", "meta"], "--device must be cpu, cuda or cuda:N, not 'meta'"),
        (["--device", "cuda:x"], "--device must be cpu, cuda or cuda:N, not 'cuda:x'"),
        (["--device", "cuda:-1"], "--device must be cpu, cuda or cuda:N, not 'cuda:-1'"),
        (["--device", ""], "--device must be cpu, cuda or cuda:N, not ''"),
        (["--device", "cuda:99"], "--device cuda:99: PyTorch finds .*; choose another, or cpu"),
        (["--test", "0"], "no network to evaluate"),
        (["--models", "resnet19"], "torchvision has no model 'resnet19': did you mean"),
        (["--init", "ghn:nosuch"], "unknown hypernetwork 'nosuch'"),
        (["--init", "lvsu"], "unknown initialiser 'lvsu'; did you mean lsuv"),
        (["--data", "nosuch"], "unknown data set 'nosuch', and no folder"),
        (["-o", "x.txt"], r"the output x\.txt must end in \.json"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(*FEW, "--no-predefined", *words)


@pytest.mark.parametrize(
    ("device", "count", "message"),
    [
        ("cuda", 0, "--device cuda: PyTorch finds no CUDA device"),
        ("cuda:2", 2, "--device cuda:2: PyTorch finds only cuda:0 to cuda:1"),
    ],
)
def test_a_device_that_is_not_there(device: str, count: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ValueError, match=message):
        run(*FEW, "--device", device)


def config_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> EvaluationConfig:
    """What would be evaluated."""
    seen: list[EvaluationConfig] = []

    class SeenError(Exception):
        pass

    def stop(_: object, config: EvaluationConfig, **__: object) -> None:
        seen.append(config)
        raise SeenError

    monkeypatch.setattr(ghn.evaluate, "evaluate", stop)
    with pytest.raises(SeenError):
        run(*words)
    return seen[0]


def test_every_option_reaches_the_evaluation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    more = "--image-size 48 --calibration-images 9 --batch-norm running --image-workers 3".split()
    more += ["--models", "timm:a,widths=(1, 2),b", "--init", "default,ghn:elsewhere+noise", "ghn+calibrate"]
    words = "--data digits --data-root here --test 1 --wide 2 --deep 3 --dense 4 --bnfree 5 --no-predefined"
    config = config_of(monkeypatch, *words.split(), "--metadata", "some.json", "--images", "6", "--seed", "7", *more)
    assert config == EvaluationConfig(
        data="digits",
        data_root="here",
        splits={"test": 1, "wide": 2, "deep": 3, "dense": 4, "bnfree": 5},
        metadata="some.json",
        predefined=False,
        images=6,
        seed=7,
        image_size=48,
        models=("timm:a,widths=(1, 2)", "b"),
        starts=("default", "ghn:elsewhere+noise", "ghn:ghn3-t-cifar10+calibrate"),
        calibration_images=9,
        batch_norm="running",
        image_workers=3,
    )


def test_without_options_it_evaluates_what_the_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_of(monkeypatch) == replace(EvaluationConfig(), starts=("ghn:ghn3-t-cifar10",))


def test_with_models_there_are_no_others_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(monkeypatch, "--models", "resnet18")
    assert (config.splits, config.predefined, config.models) == ({}, False, ("resnet18",))
    config = config_of(monkeypatch, "--models", "resnet18", "--deep", "3")
    assert (config.splits, config.predefined) == ({"deep": 3}, True)
    config = config_of(monkeypatch, "--models", "resnet18", "--deep", "3", "--no-predefined")
    assert (config.splits, config.predefined) == ({"deep": 3}, False)
