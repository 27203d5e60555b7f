"""`ghn analyze scores`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.cli.analyses.scores import fitting
from tests.analysis.networks import ATTENTION, SMALL, WIDER
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, ATTENTION, "--data", "noise", "--image-size", "12", "--num-classes", "3", "--images", "4")
WORDS = ("analyze", "scores", *NETWORKS, "--score", "snip,naswot")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("x.json", "x.csv")]
    result = ghn(*WORDS, "-o", *map(str, files))
    assert result.code == 0, result.err
    assert all(str(file) in result.out for file in files)
    found = json.loads(files[0].read_text())
    assert (found["command"], found["task"]) == ("analyze", "scores")
    assert "torch" in found["versions"]
    rows = files[1].read_text().splitlines()
    assert len(rows) > 1
    assert set(found["networks"][0]["scores"]) == {"snip", "naswot"}
    assert "naswot" in result.out


def test_json_is_all_that_is_printed(ghn: Callable[..., Run], tmp_path: Path) -> None:
    result = ghn(*WORDS, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["task"] == "scores"


def test_an_undefined_score_says_why(ghn: Callable[..., Run]) -> None:
    result = ghn(*WORDS)
    assert f"naswot of {ATTENTION}: the model has no rectified linear units" in " ".join(result.out.split())


def test_an_interrupted_table_goes_on(ghn: Callable[..., Run], tmp_path: Path) -> None:
    assert ghn(*WORDS, "--folder", "OUT/kept").code == 0
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "kept").iterdir()}
    assert ghn(*WORDS[:2], WIDER, *WORDS[2:], "--folder", "OUT/kept").code == 0
    assert all(file.stat().st_mtime_ns == before for file, before in files.items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnet81"], "did you mean resnet18"),
        ([SMALL, "--score", "snipp"], "unknown score 'snipp'"),
        ([SMALL, "--init", "defalt"], "did you mean default"),
        ([SMALL, "--data", "nowhere"], "nowhere is no folder, and no data set"),
        ([SMALL, "--images", "1"], "images must be at least 2"),
        ([SMALL, "--device", "tpu"], "--device must be cpu"),
        ([SMALL, "-o", "OUT/x.png"], "must end in .json or .csv"),
        ([], "no network to analyse"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, refused: Callable[..., str]) -> None:
    assert message in refused("analyze", "scores", *words)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_columns_are_grouped_so_that_lines_fit(columns: int) -> None:
    labels = ["a", "a longer name"]
    cells = {f"score-{number}": ["1" * number, "2"] for number in range(1, 15)}
    groups = fitting(labels, cells, columns)
    assert [name for group in groups for name in group] == list(cells)
    for group in groups:
        line = 13 + sum(2 + max(len(name), *map(len, cells[name])) for name in group)
        assert line <= columns
    assert len(groups) == len(fitting(labels, cells, columns + 1)) or columns < 120


def test_many_networks_get_a_row_each_in_80_columns(ghn: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = ghn(*WORDS[:2], WIDER, *WORDS[2:-2], "--init", "default,orthogonal")
    assert result.code == 0, result.err
    assert (
        max(len(line.rstrip()) for line in result.out.splitlines() if "undefined" not in line and ":" not in line) <= 80
    )
    assert all(name in result.out for name in ("synflow-bn", "multiply-adds", "accuracy"))
