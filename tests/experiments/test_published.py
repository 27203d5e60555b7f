"""The published numbers are read as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ghn.analysis.published import models, of_model
from ghn.experiments.published import Number, published, raw, rows_of


def test_numbers_pairs_and_gaps() -> None:
    assert published("table2", "ghn3-xl-m16", 5) == Number(40.3, 3.9)
    assert published("table4", "ghn3-xl-m16 1 epoch", 0) == Number(74)
    assert published("table10", "gamma 0, weight decay 0.3", 0) == Number(18.9)
    assert published("table12", "ghn3-xl-m16, 1k steps", 0) is None
    assert raw("table6", "random", 1) == [20.6, 67.3, 76.0]
    assert rows_of("table5")[0] == "ghn3-t-m8"
    with pytest.raises(KeyError):
        published("table2", "nothing", 0)
    with pytest.raises(IndexError):
        published("table2", "random", 6)


def test_74_models_and_their_results() -> None:
    assert len(models()) == 74
    assert of_model("alexnet", "randinit-sgd1ep") == 6.24
    assert of_model("nothing", "ghn3") is None


def test_the_published_wins_follow_from_the_published_results() -> None:
    """Table 4's row of an epoch, computed from the results for each model."""
    pairs = [(of_model(model, "ghn3-sgd1ep"), of_model(model, "randinit-sgd1ep")) for model in models()]
    wins = [ours - random for ours, random in pairs if ours is not None and random is not None and ours > random]
    share = published("table4", "ghn3-xl-m16 1 epoch", 0)
    gain = published("table4", "ghn3-xl-m16 1 epoch", 1)
    assert share is not None
    assert gain is not None
    assert 100 * len(wins) / len(pairs) == pytest.approx(share.mean, abs=1)
    assert sum(wins) / len(wins) == pytest.approx(gain.mean, abs=0.1)


def test_they_are_the_reference_numbers(reference: Path) -> None:
    file = reference / "paper" / "tables.json"
    if not file.exists():
        pytest.skip("no published tables beside the reference results")
    tables = json.loads(file.read_text())
    for table in ("table2", "table7", "table11", "table12"):
        for row, values in tables[table]["rows"].items():
            for column, value in enumerate(values):
                number = published(table, row, column)
                expected = None if value is None else Number(*value) if isinstance(value, list) else Number(value)
                assert number == expected, (table, row, column)
