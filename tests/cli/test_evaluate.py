"""`ghn evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ghn.evaluate
from ghn.cli import evaluate, parse
from ghn.evaluate import Evaluation, EvaluationConfig, NetworkResult

FEW = ("--data", "digits", "--test", "1", "--wide", "0", "--deep", "0", "--dense", "0", "--bnfree", "0")


def run(*words: str) -> None:
    evaluate.run(parse(evaluate, "evaluate", words))


def test_it_shows_and_saves_the_true_number_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(*FEW, "--no-predefined", "--images", "70", "-o", str(tmp_path / "result.json"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "ghn3-t-cifar10 on digits, 70 test images, top-1 in per cent" in shown
    record = json.loads((tmp_path / "result.json").read_text())
    assert [network["images"] for network in record["networks"]] == [70]


def test_of_one_network_its_own_accuracy_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = NetworkResult(
        split="test", index=0, top1=0.125, top5=0.75, loss=2.0, images=8, parameters=1, nodes=2, cells=3, megamacs=4.0,
        attention=False, batch_norm=True, seconds=0.1,
    )  # fmt: skip
    several = [replace(network, split="deep", top1=top1) for top1 in (0.25, 0.75)]
    found = Evaluation(config=EvaluationConfig(), hypernet={}, networks=(network, *several))
    monkeypatch.setattr(ghn.evaluate, "evaluate", lambda *_: found)
    run()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["test", "1", "12.5"] in rows
    assert ["deep", "2", "50.0", "±", "25.0", "25.0", "to", "75.0"] in rows


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

    def stop(_: object, config: EvaluationConfig) -> None:
        seen.append(config)
        raise SeenError

    monkeypatch.setattr(ghn.evaluate, "evaluate", stop)
    with pytest.raises(SeenError):
        run(*words)
    return seen[0]


def test_every_option_reaches_the_evaluation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = "--data digits --data-root here --test 1 --wide 2 --deep 3 --dense 4 --bnfree 5 --no-predefined"
    config = config_of(monkeypatch, *words.split(), "--metadata", "some.json", "--images", "6", "--seed", "7")
    assert config == EvaluationConfig(
        data="digits",
        data_root="here",
        splits={"test": 1, "wide": 2, "deep": 3, "dense": 4, "bnfree": 5},
        metadata="some.json",
        predefined=False,
        images=6,
        seed=7,
    )


def test_without_options_it_evaluates_what_the_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_of(monkeypatch) == EvaluationConfig()
