"""`ghn analyze statistics`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.networks import SMALL
from tests.cli.analyses.outputs import check_json_alone, written
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, "--image-size", "32", "--num-classes", "10")
WORDS = ("analyze", "statistics", *NETWORKS, "--split", "test:2")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    found, result = written(ghn, WORDS, tmp_path)
    assert found["summary"]["nodes"]["most"] >= found["networks"][0]["nodes"]
    assert "path length" in result.out


def test_json_is_all_that_is_printed(ghn: Callable[..., Run]) -> None:
    check_json_alone(ghn, WORDS)
