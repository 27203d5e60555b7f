"""Table 8."""

from __future__ import annotations

from statistics import fmean

import pytest

from ghn.experiments.declared.detection import TABLE8, _cell, methods
from ghn.experiments.protocol import Results
from ghn.experiments.published import rows_of
from ghn.experiments.scales import PAPER
from ghn.finetuning.detection.config import DetectionConfig
from tests.experiments.results import number, results


def test_table_8_by_hand() -> None:
    assert tuple(method.name for method in methods(PAPER)) == rows_of("table8")[:3]
    cells = TABLE8.stages[0](PAPER, Results())
    assert len(cells) == 3 * 3 * 3
    training = DetectionConfig.from_dict(cells[0].settings["training"])
    assert training == DetectionConfig(backbone="resnet50", classes=1000), "the tutorial's settings"
    report = TABLE8.report(PAPER, results(cells))
    values = [100 * number(_cell(PAPER, methods(PAPER)[2], "resnet101", seed)) for seed in range(3)]
    entry = report.rows[2].entries[1]
    assert entry is not None
    assert entry.mean == pytest.approx(fmean(values))
    assert [each and each.mean for each in report.rows[2].published] == [61.7, 60.2, 60.0]
