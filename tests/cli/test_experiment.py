"""`ghn experiment`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ghn.cli import main
from ghn.experiments.listing import EXPERIMENTS

TABLE3 = ("experiment", "table3", "--quiet")


def test_all_experiments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in EXPERIMENTS)


def test_cells_are_counted_without_computing_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--folder", str(tmp_path / "results"), "--cells", "--json"]
    assert main(["experiment", "table4", "--scale", "paper", *words]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"stage": 1, "kind": "evaluate", "cells": 74, "finished": 0},
        {"stage": 1, "kind": "finetune", "cells": 222, "finished": 0},
    ]
    assert not (tmp_path / "results").exists()
    assert main(["experiment", "table2", "--folder", str(tmp_path), "--cells"]) == 0
    assert "later stages depend" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabel4"], "unknown experiment 'tabel4': did you mean table4"),
        (["table4", "--workers", "0"], "--workers must be at least 1, not 0"),
        (["table4", "--gpus", "1"], "--gpus is for cells on Ray"),
        (["table4", "--scale", "huge"], "--scale"),
        (["table4", "-o", "result.svg"], "table4 is a table and has no figure result.svg: take .md or .json"),
        (["table4", "-o", "result.txt"], "must end in .json or .md"),
        (["table4", "--ray", "127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1"),
        (["table4", "--data-root", "/nowhere", "--data", "cifar10"], "/nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--ray" in words:
        pytest.importorskip("ray")
    assert main(["experiment", *words, "--folder", str(tmp_path / "results"), "--quiet"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert len(shown.splitlines()) == 1


def test_results_of_another_version_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "format.json").write_text('{"format": 0}')
    assert main([*TABLE3, "--folder", str(tmp_path)]) == 2
    assert "holds results of version 0, this ghn writes version 1; take another folder" in capsys.readouterr().err


def test_what_was_stopped_is_written_as_far_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ghn.experiments.grid.executors.compute", stop)
    files = [str(tmp_path / name) for name in ("result.json", "figure.svg")]
    assert main(["experiment", "figure3", "--quiet", "--folder", str(tmp_path / "results"), "-o", *files]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "stopped after 0 cells; the same command goes on" in captured.err
    assert json.loads(Path(files[0]).read_text())["experiment"] == "figure3"
    assert not Path(files[1]).exists(), "nothing to draw yet"


@pytest.mark.slow
def test_one_process_four_and_a_cluster_give_the_same_json(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    ways = {"one": [], "four": ["--workers", "4"], "ray": ["--ray", "local", "--workers", "2"]}
    for name, words in ways.items():
        command = [sys.executable, "-m", "ghn", *TABLE3, *words, "--folder", str(tmp_path / name)]
        subprocess.run([*command, "-o", str(tmp_path / f"{name}.json")], check=True, env={**os.environ})
    found = {name: (tmp_path / f"{name}.json").read_text() for name in ways}
    assert found["one"] == found["four"] == found["ray"]
    assert all(entry is not None for row in json.loads(found["one"])["rows"] for entry in row["ours"])
