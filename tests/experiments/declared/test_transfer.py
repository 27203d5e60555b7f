"""Table 7: few labels."""

from __future__ import annotations

from statistics import fmean

import pytest

from ghn.experiments.declared.transfer import TABLE7, _cell, methods
from ghn.experiments.protocol import Results
from ghn.experiments.published import rows_of
from ghn.experiments.scales import PAPER, SMALL
from tests.experiments.results import number, results


def test_every_method_is_tuned_alike_on_images_that_are_held_out() -> None:
    cells = TABLE7.stages[0](PAPER, Results())
    trainings = [{**cell.settings["training"], "data": ""} for cell in cells]
    assert all(training == trainings[0] for training in trainings)
    assert trainings[0]["few_shot"] == 1000
    assert trainings[0]["hold_out"] == 250
    assert {cell.settings["training"]["data"] for cell in cells} == {"cifar10", "cifar100"}
    assert {cell.seed for cell in cells} == {0, 1, 2}
    named = [method.name for method in methods(PAPER, "resnet50")]
    assert tuple(named) == rows_of("table7")[:7], "all but the networks that others trained fully"


def test_table_7_by_hand() -> None:
    report = TABLE7.report(SMALL, results(TABLE7.stages[0](SMALL, Results())))
    method = methods(SMALL, "resnet18")[3]
    values = [100 * number(_cell(SMALL, method, "resnet18", "digits", seed)) for seed in range(SMALL.seeds)]
    entry = report.rows[3].entries[0]
    assert entry is not None
    assert entry.mean == pytest.approx(fmean(values))
    paper = TABLE7.report(PAPER, Results())
    assert [each and each.mean for each in paper.rows[3].published] == [72.9, 55.3, 51.8, 27.8, 13.8, 11.9]
