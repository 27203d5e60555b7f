"""`ghn analyze map`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.networks import ATTENTION, SMALL, WIDER
from tests.cli.analyses.outputs import check_json_alone, written
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, WIDER, ATTENTION, "--image-size", "12", "--num-classes", "10")
WORDS = ("analyze", "map", *NETWORKS, "--ghn", "TINY")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    found, result = written(ghn, WORDS, tmp_path)
    assert set(found["nearest"]) == {SMALL, WIDER, ATTENTION}
    assert WIDER in result.out


def test_json_is_all_that_is_printed(ghn: Callable[..., Run]) -> None:
    check_json_alone(ghn, WORDS)


def test_the_nearest_of_a_given_network(ghn: Callable[..., Run], refused: Callable[..., str]) -> None:
    result = ghn(*WORDS, "--near", ATTENTION, "--neighbours", "1")
    assert f"nearest to {ATTENTION}" in " ".join(result.out.split())
    assert "is not on the map" in refused(*WORDS, "--near", "resnet18")
