"""`ghn analyze diversity`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.networks import SMALL, WIDER
from tests.cli.analyses.outputs import check_json_alone, written
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, WIDER, "--data", "noise", "--image-size", "12", "--num-classes", "3", "--images", "4")
WORDS = ("analyze", "diversity", *NETWORKS, "--shape", "4x3x3x3")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    found, _ = written(ghn, WORDS, tmp_path)
    assert found["rows"][0]["tensors"] == 2


def test_json_is_all_that_is_printed(ghn: Callable[..., Run]) -> None:
    check_json_alone(ghn, WORDS)
