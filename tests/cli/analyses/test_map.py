"""`ghn analyze map`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.networks import ATTENTION, SMALL, WIDER
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, WIDER, ATTENTION, "--image-size", "12", "--num-classes", "10")
WORDS = ("analyze", "map", *NETWORKS, "--ghn", "TINY")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("x.json", "x.csv", "x.png")]
    result = ghn(*WORDS, "-o", *map(str, files))
    assert result.code == 0, result.err
    assert all(str(file) in result.out for file in files)
    found = json.loads(files[0].read_text())
    assert (found["command"], found["task"]) == ("analyze", "map")
    assert "torch" in found["versions"]
    rows = files[1].read_text().splitlines()
    assert len(rows) > 1
    assert set(found["nearest"]) == {SMALL, WIDER, ATTENTION}
    assert WIDER in result.out


def test_json_is_all_that_is_printed(ghn: Callable[..., Run], tmp_path: Path) -> None:
    result = ghn(*WORDS, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["task"] == "map"


def test_the_nearest_of_a_given_network(ghn: Callable[..., Run], refused: Callable[..., str]) -> None:
    result = ghn(*WORDS, "--near", ATTENTION, "--neighbours", "1")
    assert f"nearest to {ATTENTION}" in " ".join(result.out.split())
    assert "is not on the map" in refused(*WORDS, "--near", "resnet18")
