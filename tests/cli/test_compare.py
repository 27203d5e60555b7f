"""`ghn compare`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ghn.cli import compare, main, parse
from ghn.cli.compare import configured
from ghn.initializers import NAMES
from ghn.zoo.names import split_names

pytest.importorskip("sklearn")

QUICK = (
    "--data", "digits", "--steps", "4", "--seeds", "2", "--batch-size", "16", "--learning-rates", "0.05",
    "--few-shot", "64", "--test-images", "50",
)  # fmt: skip

MODEL = """
import torch
def make(num_classes=10):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, 2), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(4, num_classes))
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MODEL)
    return f"{tmp_path / 'mine.py'}:make"


def test_every_start_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--list"]) == 0
    shown = capsys.readouterr().out.split()
    assert set(NAMES) <= set(shown)


def test_a_table_files_and_a_folder_that_goes_on(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("found.json", "curves.svg")]
    words = ["--model", model, "--init", "default,orthogonal", *QUICK, "--folder", str(tmp_path / "runs")]
    assert main(["compare", *words, "-o", *files]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 seeds" in shown
    record = json.loads(Path(files[0]).read_text())
    default, orthogonal = record["rows"]
    assert f"{100 * default['mean'][-1]:.1f} ± {100 * default['std'][-1]:.1f}" in shown
    assert orthogonal["verdict"] in shown
    assert default["against"] is None
    assert Path(files[1]).read_text().startswith("<?xml")
    # Again, with one more start: what is there stays.
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").glob("*/*/cell.json")}
    words[3] += ",delta-orthogonal"
    assert main(["compare", *words, "--json"]) == 0
    assert [row["init"] for row in json.loads(capsys.readouterr().out)["rows"]][2] == "delta-orthogonal"
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_points_lie_evenly_and_options_reach_the_trainings() -> None:
    options = parse(compare, "compare", ["--model", "resnet18", "--steps", "100", "--weight-decay", "0.5"])
    training = configured(options).training
    assert (training.steps, training.validate_every, training.weight_decay) == (100, 13, 0.5)
    assert training.learning_rates is None


@pytest.mark.parametrize(
    ("text", "chains"),
    [
        ("default,ghn", ["default", "ghn"]),
        ("ghn:a+noise:0.1, lsuv", ["ghn:a+noise:0.1", "lsuv"]),
        ("gradinit:adam,steps=5,default", ["gradinit:adam,steps=5", "default"]),
        ("ghn:m.py:make,widths=(4,8)@w.pt,lsuv", ["ghn:m.py:make,widths=(4,8)@w.pt", "lsuv"]),
    ],
)  # fmt: skip
def test_commas_separate_chains_but_not_their_options(text: str, chains: list[str]) -> None:
    assert split_names(text) == chains


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no model given: ghn compare MODEL, e.g. ghn compare resnet18"),
        (["--model", "resnet81"], "did you mean resnet18"),
        (["--model", "resnet18", "--init", "default,lsvu"], "unknown initialiser 'lsvu'; did you mean lsuv"),
        (["--model", "resnet18", "--init", "default", "default"], "default is named twice"),
        (["--model", "resnet18", "--data", "digit"], "did you mean digits"),
        (["--model", "resnet18", "--steps", "0"], "--steps must be at least 1"),
        (["--model", "resnet18", "--seeds", "0"], "seeds must be at least 1"),
        (["--model", "resnet18", "--workers", "0"], "workers must be at least 1"),
        (["--model", "resnet18", "--optimizer", "sgdd"], "sgd"),
        (["--model", "resnet18", "-o", "curves.txt"], ".json"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1, captured.err


@pytest.mark.parametrize("columns", ["80", pytest.param("120", marks=pytest.mark.slow)])
def test_in_a_terminal_a_bar_moves_and_the_table_fits(model: str, tmp_path: Path, columns: str) -> None:
    words = [sys.executable, "-m", "ghn", "compare", "--model", model, "--init", "default,orthogonal", *QUICK]
    here, there = pty.openpty()
    environment = {**os.environ, "COLUMNS": columns, "LINES": "40", "TERM": "xterm-256color"}
    process = subprocess.Popen(words, stdout=there, stderr=there, stdin=there, env=environment)
    os.close(there)
    shown = b""
    while True:
        try:
            part = os.read(here, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(here)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search("[0-4]/4", text)
    table = text[text.rindex("test accuracy in %") :]
    assert "orthogonal" in table
    assert max(map(len, table.splitlines()[1:4])) <= int(columns)


def test_trainings_that_are_worse_than_their_starts_are_told(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--model", model, "--init", "default,default+calibrate", *QUICK, "--seeds", "1"]
    assert main([*words, "--steps", "1", "--learning-rates", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("the training lost what ")]
    assert len(lines) == 1
    assert "default+calibrate had before it; smaller --learning-rates, --warmup or --augment none may keep" in lines[0]
