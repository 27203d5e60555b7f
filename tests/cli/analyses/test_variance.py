"""`ghn analyze variance`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.cli.analyses.variance import told_of
from tests.analysis.networks import ATTENTION, SMALL
from tests.cli.analyses.outputs import check_json_alone, written
from tests.cli.conftest import Run

pytest.importorskip("matplotlib")

NETWORKS = (SMALL, ATTENTION, "--data", "noise", "--image-size", "12", "--num-classes", "3", "--images", "4")
WORDS = ("analyze", "variance", *NETWORKS, "--init", "default,orthogonal")


def test_a_table_and_files(ghn: Callable[..., Run], tmp_path: Path) -> None:
    found, result = written(ghn, WORDS, tmp_path)
    assert "stays between" in result.out
    assert len(found["sentences"]) == 4


def test_json_is_all_that_is_printed(ghn: Callable[..., Run]) -> None:
    check_json_alone(ghn, WORDS)


def test_of_many_only_those_that_explode_or_vanish_are_told() -> None:
    stays = [f"net{n} from default stays between 0.1 (a) and 2 (b), and ends at 1" for n in range(12)]
    assert told_of(stays) == stays
    assert told_of([*stays, "net12 from default explodes at c, layer 3 of 4 (2e+05)"]) == [
        "net12 from default explodes at c, layer 3 of 4 (2e+05)",
        "12 others stay within bounds; -o FILE.json says within which",
    ]
