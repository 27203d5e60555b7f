"""Figure 5: norms beside the published ones."""

from __future__ import annotations

import pytest

from ghn.experiments.declared.norms import FIGURE5, _cell, methods
from ghn.experiments.protocol import Results
from ghn.experiments.scales import SMALL
from tests.experiments.results import number, results


def test_figure_5_by_hand() -> None:
    report = FIGURE5.report(SMALL, results(FIGURE5.stages[0](SMALL, Results())))
    row = report.rows[0]
    assert row.name == "resnet18"
    for place, method in enumerate(methods(SMALL)):
        entry = row.entries[place]
        assert entry is not None
        assert entry.mean == pytest.approx(50 * number(_cell(SMALL, method, "resnet18")))
    assert all(each is not None for each in row.published)
    assert len(report.plots[0].series) == len(methods(SMALL)) - 1
