"""Sizes of hypernetworks are the published ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghn.experiments.declared.sizes import PRESETS, _config
from ghn.experiments.kinds.size import KIND
from ghn.experiments.published import published
from tests.experiments.kinds.jobs import job


@pytest.mark.parametrize("name", PRESETS)
def test_the_parameters_are_those_of_table_1(tmp_path: Path, name: str) -> None:
    found = KIND.run(job(tmp_path, {"hypernet": _config(name, 1000).to_dict()})).value
    number = published("table1", name, 3)
    assert number is not None
    assert found["parameters"] / 1e6 == pytest.approx(number.mean, rel=0.02)
    hidden = published("table1", name, 1)
    assert hidden is not None
    assert found["hidden"] == hidden.mean
