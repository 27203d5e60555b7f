"""What a user sees in a real terminal."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.cli import COMMANDS
from tests.cli.conftest import Run
from tests.cli.terminals import in_a_terminal


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_bad_usage_is_the_same_line_in_every_terminal(columns: int, environment: dict[str, str]) -> None:
    for words, line in (
        (["predict"], "error: Missing from ghn predict: MODEL, -o FILE, --output FILE; see `ghn predict --help`"),
        (
            ["predict", "x", "-o", "y.safetensors", "--head", "both"],
            "error: invalid choice 'both' for argument '--head'. Expected one of ('keep', 'predict'); "
            "see `ghn predict --help`",
        ),
    ):
        seen = in_a_terminal(*words, columns=columns, environment=environment)
        assert (seen.code, seen.text.replace("\r\n", "\n")) == (2, f"{line}\n")


@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.slow)])
def test_help_fits_a_terminal(columns: int) -> None:
    seen = in_a_terminal("train", "--help", columns=columns)
    assert seen.code == 0
    assert max(map(len, seen.lines)) <= columns


@pytest.mark.parametrize("columns", ["1", "5", "0", "many"])
def test_help_on_terminals_of_no_width_comes_to_an_end(columns: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ghn", "info", "--help"],
        env={**os.environ, "COLUMNS": columns},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: ghn info" in done.stdout


def test_the_command_alone_is_help() -> None:
    seen = in_a_terminal()
    assert seen.code == 0
    assert seen.first < 1
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", seen.text, re.MULTILINE)


def test_named_runs_are_a_line_each() -> None:
    from ghn.meta.runs import RUNS

    seen = in_a_terminal("train", columns=80)
    assert seen.code == 0
    assert len([line for line in seen.lines if "loading libraries" not in line]) <= len(RUNS) + 5
    assert all(any(line.startswith(f"{name} ") for line in seen.lines) for name in RUNS)


def test_a_training_shows_each_step_and_something_at_once(tmp_path: Path) -> None:
    small = ["--layers", "1", "--hidden", "8", "--max-channels", "8", "--workers", "0", "--log-every", "50"]
    words = ["train", "digits-smoke", "-o", f"{tmp_path}/run", "--steps", "3", "--validate-every", "0", *small]
    seen = in_a_terminal(*words, "--device", "cpu", columns=80)
    assert seen.code == 0, seen.text
    assert seen.first < 1
    assert "loading libraries" in seen.text
    for step in range(4):
        assert f"{step}/3" in seen.text, "the bar moves with every step"
    assert "left" in seen.text
    # What is there to be copied is not broken.
    assert max(len(line) for line in seen.lines if str(tmp_path) not in line) <= 80


@pytest.mark.slow
def test_ctrl_c_keeps_what_there_is(folder: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--ghn", str(folder / "tiny"), "--models", "zoo:net", "--data", "digits"]
    (tmp_path / "zoo.py").write_text((folder / "zoo.py").read_text())
    # The second start takes minutes.
    starts = ["--init", "default", "metainit:steps=100000"]
    words += [*starts, "--test-images", "32", "--device", "cpu", "-o", "found.json"]
    seen = in_a_terminal(*words, folder=str(tmp_path), interrupt=lambda text: "1/2" in text)
    assert seen.code == 130, seen.text[-300:]
    assert "error: interrupted" in seen.lines[-1]
    assert len(json.loads((tmp_path / "found.json").read_text())["networks"]) == 1
    assert any("1 of 2 done" in line for line in seen.lines)


SMALL = ["--layers", "1", "--hidden", "8", "--max-channels", "8", "--workers", "0", "--validate-every", "0"]
LONG = {
    "compare": (["compare", "zoo:net", "--data", "digits", "--steps", "100000", "--workers", "2"], "0/6"),
    "train": (["train", "digits-smoke", "-o", "run", "--steps", "100000", *SMALL], "3/100,000"),
    "experiment": (["experiment", "table3", "--data", "digits", "--workers", "2", "--folder", "cells"], "0/"),
    "finetune": (["finetune", "zoo:net", "--data", "digits", "--steps", "100000", "--folder", "run"], "/100,000"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", LONG)
def test_ctrl_c_is_one_line_and_130_everywhere(command: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text((folder / "zoo.py").read_text())
    words, begun = LONG[command]
    seen = in_a_terminal(*words, "--device", "cpu", folder=str(tmp_path), interrupt=lambda text: begun in text)
    assert seen.code == 130, seen.text[-300:]
    assert "Traceback" not in seen.text, seen.text[-3000:]
    assert seen.lines[-1].startswith("error: interrupted")


# The same everywhere, without a terminal

DEVICES = {
    "predict": ["zoo:net", "-o", "OUT/x.safetensors", "--ghn", "TINY"],
    "finetune": ["zoo:net"],
    "train": ["digits-smoke", "-o", "OUT/run"],
    "evaluate": ["TINY", "--data", "digits"],
    "compare": ["zoo:net"],
}


@pytest.mark.parametrize("command", DEVICES)
def test_a_device_that_is_not_there_is_the_same_line(
    command: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    line = "--device cuda: PyTorch finds no CUDA device; choose another, or cpu"
    assert refused(command, *DEVICES[command], "--device", "cuda") == line
    assert refused(command, *DEVICES[command], "--device", "gpu") == "--device must be cpu, cuda or cuda:N, not 'gpu'"


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "zoo:net", "--ghn", "TINY", "-o", "there.safetensors"],
        ["graph", "zoo:net", "-o", "there.svg"],
        ["finetune", "zoo:net", "-o", "there.safetensors"],
        ["evaluate", "TINY", "-o", "there.json"],
        ["compare", "zoo:net", "-o", "there.json"],
        ["deepnets", "test", "-o", "there.json"],
    ],
)
def test_what_exists_is_refused_before_any_work(
    words: list[str], ghn: Callable[..., Run], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghn.zoo.build.build_model", lambda *_: pytest.fail("work has begun"))
    there = folder / words[-1]
    there.write_text("mine")
    result = ghn(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: {words[-1]} exists: --force replaces it, or choose another name\n"
    assert there.read_text() == "mine"
    there.unlink()


@pytest.mark.parametrize("words", [["evaluate", "TINY"], ["compare", "zoo:net"], ["finetune", "zoo:net"]])
def test_a_result_for_nobody_is_refused(words: list[str], refused: Callable[..., str]) -> None:
    assert refused(*words, "--quiet").startswith("--quiet shows no result, and nothing keeps it")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["train", "digitsmoke", "-o", "OUT/x"], "unknown run 'digitsmoke': did you mean digits-smoke?"),
        (["predict", "zoo.net", "-o", "OUT/x.safetensors"], "for a function of a module write zoo:net"),
        (["predict", "zoo.py", "-o", "OUT/x.safetensors"], "for a function of a file write zoo.py:FUNCTION"),
    ],
)
def test_what_was_meant_is_said(words: list[str], part: str, refused: Callable[..., str]) -> None:
    assert part in refused(*words)


def test_without_torchvision(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    line = refused("predict", "resnet18", "-o", "OUT/x.safetensors", "--ghn", "TINY")
    assert "torchvision" in line
    assert "pip install" in line


@pytest.mark.parametrize("words", [["train", "digits-smoke", "--image-size", "31"], ["finetune", "zoo:nothing"]])
def test_a_start_that_fails_leaves_nothing(words: list[str], ghn: Callable[..., Run], tmp_path: Path) -> None:
    flag = "-o" if words[0] == "train" else "--folder"
    assert ghn(*words, flag, "OUT/run", "--device", "cpu").code == 2
    assert not list(tmp_path.iterdir())


WRONG = {
    "a folder for a file": (["predict", "zoo:net", "--ghn", "TINY", "-o", "OUT"], "cannot write .*: it is a folder"),
    "a file for a folder": (["compare", "zoo:net", "--folder", "zoo.py"], "zoo.py is no folder, and cannot keep what"),
    "a file in a path": (["finetune", "zoo:net", "--folder", "zoo.py/run"], "zoo.py is no folder"),
    "a file for a run": (["train", "digits-smoke", "-o", "zoo.py"], "zoo.py is no folder"),
    "a file for cells": (["experiment", "table3", "--folder", "zoo.py"], "zoo.py is no folder"),
    "a file for records": (["analyze", "scores", "zoo:net", "--folder", "zoo.py"], "zoo.py is no folder"),
    "no whole number": (["deepnets", "test", "abc"], "INDEX must be a whole number, not 'abc'; see"),
    "half a seed": (["predict", "x", "-o", "y", "--seed", "1.5"], "--seed must be a whole number, not '1.5'; see"),
    "no number": (["finetune", "x", "--momentum", "much"], "--momentum must be a number, not 'much'; see"),
    "no steps": (["finetune", "zoo:net", "--steps", "0"], "--steps must be at least 1, not 0"),
    "a field's limit": (["finetune", "zoo:net", "--batch-size", "0"], "--batch-size must be at least 1, not 0"),
    "a share": (
        ["finetune", "zoo:net", "--label-smoothing", "2"],
        "--label-smoothing is a share, from 0 to below 1, not 2",
    ),
    "no task": (["analyze"], "no task given: ghn analyze TASK; there are scores, rank, .*map"),
    "an option for a task": (["analyze", "--json"], "no task given"),
    "a misspelt task": (
        ["analyze", "scoress"],
        "unknown task 'scoress': did you mean scores\\? there are scores, rank",
    ),
    "no data set": (
        ["experiment", "table13", "--data", "nope", "--cells"],
        "unknown data set 'nope'; there are cifar10",
    ),
    "nobody sees it": (["deepnets", "--quiet"], "--quiet shows no result"),
    "nobody sees scores": (["analyze", "scores", "zoo:net", "--quiet"], "--quiet shows no result"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_told_in_the_users_words(name: str, refused: Callable[..., str]) -> None:
    words, said = WRONG[name]
    assert re.match(said, refused(*words))


def test_a_closed_stream_shows_nothing_and_is_no_error() -> None:
    for closed in ("2>&-", ">&-", ">&- 2>&-"):
        command = f"{sys.executable} -m ghn experiment --json {closed}"
        assert subprocess.run(["bash", "-c", command], capture_output=True, check=False).returncode == 0
