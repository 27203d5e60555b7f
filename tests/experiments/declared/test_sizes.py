"""Tables 1 and 3, figure 3."""

from __future__ import annotations

from statistics import fmean

import pytest

from ghn.experiments.declared.sizes import FIGURE3, PRESETS, TABLE1, TABLE3, _model, _size, _training
from ghn.experiments.protocol import Results
from ghn.experiments.published import rows_of
from ghn.experiments.scales import PAPER, SMALL
from ghn.meta.runs import RUNS
from tests.experiments.results import number, results


def test_table_1_trains_the_named_runs() -> None:
    assert rows_of("table1") == PRESETS
    for name in PRESETS[2:]:
        config = RUNS[f"{name}-m8"].config
        assert _training(PAPER, name).settings["config"]["steps"] == config.steps
        assert _training(PAPER, name).settings["config"]["hypernet"] == config.to_dict()["hypernet"]
    cells = TABLE1.stages[0](SMALL, Results())
    report = TABLE1.report(SMALL, results(cells))
    entries = report.rows[0].entries
    assert entries[3] is not None
    assert entries[3].mean == pytest.approx(number(_size(SMALL, "ghn2")))
    assert entries[4] is not None
    assert entries[4].mean == 0.5, "seconds a step"
    paper = TABLE1.report(PAPER, results(TABLE1.stages[0](PAPER, Results())))
    days = paper.rows[2].entries[4]
    assert days is not None
    assert days.mean == pytest.approx(0.5 * RUNS["ghn3-t-m8"].config.steps / 86400)


def test_table_3_and_figure_3_by_hand() -> None:
    cells = TABLE3.stages[0](SMALL, Results())
    report = TABLE3.report(SMALL, results(cells))
    values = [100 * number(_model(SMALL, model)) + 1 for model in SMALL.models]
    assert report.rows[-1].entries[2] is not None
    assert report.rows[-1].entries[2].mean == pytest.approx(fmean(values))
    assert report.rows[0].name == "test (20)"
    assert report.rows[0].entries[0] is not None
    assert report.rows[0].entries[0].count == 20
    figure = FIGURE3.report(SMALL, results(cells))
    assert len(figure.plots[0].series) == 1 + len(SMALL.splits)
    assert list(figure.plots[0].series[0].x) == pytest.approx(values)
