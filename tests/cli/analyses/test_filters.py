"""`ghn analyze filters`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.networks import ATTENTION, SMALL
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, ATTENTION, "--data", "noise", "--image-size", "12", "--num-classes", "3", "--images", "4")
WORDS = ("analyze", "filters", *NETWORKS, "--init", "default,orthogonal")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("x.json", "x.csv", "x.png")]
    result = ghn(*WORDS, "-o", *map(str, files))
    assert result.code == 0, result.err
    assert all(str(file) in result.out for file in files)
    found = json.loads(files[0].read_text())
    assert (found["command"], found["task"]) == ("analyze", "filters")
    assert "torch" in found["versions"]
    rows = files[1].read_text().splitlines()
    assert len(rows) > 1
    assert [one["layer"] for one in found["networks"]] == ["first.weight"] * 2 + ["patch.weight"] * 2


def test_json_is_all_that_is_printed(ghn: Callable[..., Run], tmp_path: Path) -> None:
    result = ghn(*WORDS, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["task"] == "filters"
