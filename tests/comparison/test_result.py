"""Statistics of comparisons, against the definitions."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ghn.comparison.cell import CellResult
from ghn.comparison.config import CompareConfig
from ghn.comparison.result import Comparison, difference

CONFIG = CompareConfig(model="resnet18", inits=("default", "ghn", "lsuv"), seeds=3)


def cell(init: str, seed: int, *accuracies: float) -> CellResult:
    steps = tuple(range(0, 50 * len(accuracies), 50))
    return CellResult(
        init=init, seed=seed, steps=steps, accuracies=accuracies, learning_rate=0.1, cost=seed + 1.0, step_seconds=0.5
    )


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random(5), generator.random(5)
    found = difference(first.tolist(), second.tolist())
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert found.mean - found.half == pytest.approx(expected.low)
    assert found.mean + found.half == pytest.approx(expected.high)


@pytest.mark.parametrize(
    ("values", "others", "verdict"),
    [
        ([0.5, 0.52, 0.51], [0.4, 0.43, 0.4], "ahead"),
        ([0.4, 0.43, 0.4], [0.5, 0.52, 0.51], "behind"),
        ([0.5, 0.4, 0.6], [0.45, 0.48, 0.52], "within noise"),
        ([0.3, 0.3, 0.3], [0.2, 0.2, 0.2], "ahead"),
        ([0.3, 0.2], [0.3, 0.2], "equal"),
        ([0.9], [0.1], "one seed"),
    ],
)
def test_a_verdict_minds_the_noise_of_the_seeds(values: list[float], others: list[float], verdict: str) -> None:
    assert difference(values, others).verdict == verdict


def test_seeds_are_paired_by_number_and_those_without_partner_are_left_out() -> None:
    cells = (
        cell("default", 0, 0.1, 0.30),
        cell("default", 2, 0.1, 0.50),
        cell("ghn", 0, 0.3, 0.31),
        cell("ghn", 1, 0.3, 0.99),
        cell("ghn", 2, 0.3, 0.52),
    )
    _, ghn = Comparison(config=CONFIG, cells=cells).rows()
    assert ghn.against is not None
    assert ghn.against.mean == pytest.approx(0.015)
    assert ghn.against.seeds == 2
    assert ghn.mean == pytest.approx((0.3, (0.31 + 0.99 + 0.52) / 3))
    assert ghn.std[1] == pytest.approx(np.std([0.31, 0.99, 0.52], ddof=1))


def test_reaching_means_the_first_point_not_below_the_end_of_the_first_start() -> None:
    cells = (cell("default", 0, 0.1, 0.2, 0.3), cell("ghn", 0, 0.25, 0.3, 0.28), cell("lsuv", 0, 0.1, 0.2, 0.299))
    rows = Comparison(config=CONFIG, cells=cells).rows()
    assert [row.reaches for row in rows] == [100, 50, None]


def test_a_start_that_failed_has_its_reason_and_the_others_their_numbers() -> None:
    failed = CellResult(init="ghn", seed=0, error="the training diverged")
    found = Comparison(config=CONFIG, cells=(cell("default", 0, 0.1, 0.2), failed))
    default, ghn = found.rows()
    assert default.mean == (0.1, 0.2)
    assert ghn.errors == ("the training diverged",)
    assert not ghn.steps
    assert "ghn: the training diverged" in str(found)


def test_a_first_start_that_failed_leaves_nothing_to_compare_with() -> None:
    failed = CellResult(init="default", seed=0, error="the training diverged")
    _, ghn = Comparison(config=CONFIG, cells=(failed, cell("ghn", 0, 0.1, 0.2))).rows()
    assert ghn.against is None
    assert ghn.reaches is None


def test_plain_values_are_json_without_nan() -> None:
    found = Comparison(config=CONFIG, cells=(cell("default", 0, 0.1, math.nan), cell("ghn", 0, 0.3, 0.2)))
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["rows"][0]["std"] == [None, None]


def test_complete_means_every_start_and_seed() -> None:
    cells = tuple(cell(init, seed, 0.1) for init in CONFIG.inits for seed in range(3))
    assert Comparison(config=CONFIG, cells=cells).complete
    assert not Comparison(config=CONFIG, cells=cells[1:]).complete
    assert not Comparison(config=replace(CONFIG, seeds=4), cells=cells).complete


def test_seeds_that_failed_do_not_change_what_is_reached() -> None:
    cells = [cell("default", seed, value, value) for seed, value in enumerate((0.5, 0.3, 0.1))]
    lost = [CellResult(init="ghn", seed=seed, error="diverged") for seed in (1, 2)]
    _, ghn = Comparison(config=CONFIG, cells=(*cells, cell("ghn", 0, 0.4, 0.45), *lost)).rows()
    assert ghn.seeds == (0,)
    assert ghn.reaches is None, "0.45 is less than the 0.5 of the same seed"
