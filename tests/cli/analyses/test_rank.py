"""`ghn analyze rank`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.networks import ATTENTION, SMALL, WIDER
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, WIDER, ATTENTION, "--data", "noise", "--image-size", "12", "--num-classes", "3", "--images", "4")
WORDS = ("analyze", "rank", *NETWORKS, "--score", "snip,parameters", "--against", "OUT/a.csv", "--resamples", "20")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"model,accuracy\n{SMALL},0.1\n{WIDER},0.3\n{ATTENTION},0.2\n")
    files = [tmp_path / name for name in ("x.json", "x.csv", "x.png")]
    result = ghn(*WORDS, "-o", *map(str, files))
    assert result.code == 0, result.err
    assert all(str(file) in result.out for file in files)
    found = json.loads(files[0].read_text())
    assert (found["command"], found["task"]) == ("analyze", "rank")
    assert "torch" in found["versions"]
    rows = files[1].read_text().splitlines()
    assert len(rows) > 1
    by = {row["score"]: row for row in found["correlations"]}
    # Attention has most parameters, and the second accuracy: one pair of three is the other way round.
    counts = {one["model"]: one["scores"]["parameters"] for one in found["networks"]}
    assert counts[ATTENTION] > counts[WIDER] > counts[SMALL]
    assert by["parameters"]["tau"] == pytest.approx(1 / 3)
    assert by["snip"]["networks"] == 3


def test_json_is_all_that_is_printed(ghn: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"model,accuracy\n{SMALL},0.1\n{WIDER},0.3\n{ATTENTION},0.2\n")
    result = ghn(*WORDS, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["task"] == "rank"


def test_published_accuracies_and_training(ghn: Callable[..., Run], tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    words = ("analyze", "rank", SMALL, WIDER, ATTENTION, "--images", "4", "--score", "parameters", "--json")
    result = ghn(
        *words, "--against", "sgd:1", "--learning-rates", "0.01", "--test-images", "20", "--folder", "OUT/kept"
    )
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert set(found["accuracies"]) == {SMALL, WIDER, ATTENTION}
    assert len(list((tmp_path / "kept").glob("sgd-*.json"))) == 3


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ("published:2", "nothing was published of '2'; there are 1-epoch"),
        ("published:1-epoch", "none of these networks has an accuracy"),
        ("sgd:many", "takes a number of steps"),
        ("nowhere.csv", "nowhere.csv is no file"),
    ],
)
def test_accuracies_that_there_are_not(against: str, message: str, refused: Callable[..., str]) -> None:
    assert message in refused(*WORDS[:-6], "--score", "parameters", "--against", against)
