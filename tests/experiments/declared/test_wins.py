"""Tables 4 and 12, figures 4 and 7, computed by hand from results that follow a rule."""

from __future__ import annotations

from statistics import fmean, pstdev

import pytest

from ghn.experiments.declared.wins import FIGURE4, FIGURE7, LARGEST, TABLE4, TABLE12, gains
from ghn.experiments.methods import RANDOM
from ghn.experiments.networks import deepnets_names
from ghn.experiments.protocol import Results, trained, untrained
from ghn.experiments.scales import SMALL, hypernetworks
from tests.experiments.results import number, results


def test_gains_and_losses() -> None:
    wins, gain, loss = gains([3.0, 5.0, None, 1.0, 2.0], [1.0, 4.0, 9.0, 4.0, 2.0])
    assert wins is not None
    assert gain is not None
    assert loss is not None
    assert (wins.mean, wins.count) == (50.0, 4)
    assert (gain.mean, gain.count) == (1.5, 2)
    assert (loss.mean, loss.count) == (-1.5, 2)
    assert gains([1.0], [0.0])[2] is None
    assert gains([None], [1.0]) == (None, None, None)


def test_table_4_by_hand() -> None:
    cells = TABLE4.stages[0](SMALL, Results())
    report = TABLE4.report(SMALL, results(cells))
    method = hypernetworks(SMALL)[LARGEST]
    row = report.rows[2]
    ours = [100 * number(trained(SMALL, method, model, SMALL.epoch)) for model in SMALL.models]
    others = [100 * number(trained(SMALL, RANDOM, model, SMALL.epoch)) for model in SMALL.models]
    assert row.entries[0] is not None
    assert row.entries[0].mean == 100 * fmean(one > other for one, other in zip(ours, others, strict=True))
    assert [published and published.mean for published in row.published] == [74, 12.3, -4.2]


def test_table_12_by_hand() -> None:
    report = TABLE12.report(SMALL, results(TABLE12.stages[0](SMALL, Results())))
    assert [row.name for row in report.rows] == [
        "ghn2, 0 steps", f"{LARGEST}, 0 steps", "random, 20 steps", f"{LARGEST}, 2 steps", f"{LARGEST}, 20 steps"
    ]  # fmt: skip
    values = [100 * number(untrained(SMALL, hypernetworks(SMALL)[LARGEST], m)) for m in deepnets_names(SMALL.splits)]
    entry = report.rows[1].entries[0]
    assert entry is not None
    assert (entry.mean, entry.std) == pytest.approx((fmean(values), pstdev(values)))
    assert report.rows[3].entries[0] is None, "after training only torchvision's networks"


def test_figures_have_a_point_for_each_network() -> None:
    report = FIGURE4.report(SMALL, results(FIGURE4.stages[0](SMALL, Results())))
    assert [len(series.x) for series in report.plots[0].series] == [len(SMALL.models)] * 3
    report = FIGURE7.report(SMALL, results(FIGURE7.stages[0](SMALL, Results())))
    assert [len(series.x) for series in report.plots[0].series] == list(SMALL.splits.values())
    assert len(report.rows) == sum(SMALL.splits.values())
