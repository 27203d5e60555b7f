"""`ghn train` and `ghn evaluate`, from the command line to a hypernetwork that other commands load."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

import ghn
from ghn.cli import evaluate, parse, train
from ghn.hypernet.config import GHNConfig
from ghn.train import RUNS, MetaTrainingConfig

SMALL = ("--hidden", "8", "--layers", "1", "--device", "cpu", "--quiet")


def options(*words: str) -> train.Options:
    return parse(train, "train", words)


def test_without_a_name_it_lists_the_runs(capsys: pytest.CaptureFixture[str]) -> None:
    train.run(options())
    shown = capsys.readouterr().out
    assert "digits-smoke" in shown
    assert "start one: ghn train NAME --output FOLDER" in shown


def test_a_run_ends_with_a_hypernetwork_that_can_be_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("digits-smoke", "-o", str(tmp_path / "run"), "--steps", "1", "--seed", "3", *SMALL)
    train.run(options(*words))
    assert "trained 1 steps" in capsys.readouterr().out
    hypernet = ghn.from_pretrained(str(tmp_path / "run" / "hypernet"))
    assert (hypernet.config.hidden, hypernet.config.layers) == (8, 1)
    card = (tmp_path / "run" / "hypernet" / "README.md").read_text()
    assert "ghn train digits-smoke --steps 1 --seed 3 --layers 1 --hidden 8 --device cpu" in card
    assert "at most 5 cells" in card
    assert str(tmp_path) not in card

    counts = ["--test", "1", "--wide", "0", "--deep", "0", "--dense", "0", "--bnfree", "1", "--no-predefined"]
    asked = [str(tmp_path / "run" / "hypernet"), "--data", "digits", "--images", "64", *counts]
    evaluate.run(parse(evaluate, "evaluate", [*asked, "-o", str(tmp_path / "result.json")]))
    shown = capsys.readouterr().out
    assert "bnfree" in shown
    result = json.loads((tmp_path / "result.json").read_text())
    assert [row["split"] for row in result["summary"]] == ["test", "bnfree"]
    assert all(0 <= network["top1"] <= 1 and network["images"] == 64 for network in result["networks"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch", "-o", "x"], "unknown run 'nosuch'; there are ghn3-t-m8"),
        (["digits-smoke"], "no folder given for the run: add --output FOLDER"),
        (["digits-smoke", "-o", "x", "--learning-rate", "-1"], r"learning_rate must be positive, not -1\.0"),
        (["digits-smoke", "-o", "x", "--hidden", "7"], "hidden must be a positive multiple of 4"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train.run(options(*words))


def test_every_option_of_a_config_is_one_of_its_fields() -> None:
    known = {field.name for kind in (MetaTrainingConfig, GHNConfig) for field in fields(kind)}
    assert {field.name for field in fields(train.Options)} - known == {"run", "output", "device", "quiet"}


@pytest.mark.parametrize("name", RUNS)
def test_every_named_run_states_paper_command_time_and_result(name: str) -> None:
    entry = RUNS[name]
    assert f"train {name} " in entry.command
    assert all((entry.paper, entry.time, entry.result))
    assert MetaTrainingConfig.from_dict(json.loads(json.dumps(entry.config.to_dict()))) == entry.config
