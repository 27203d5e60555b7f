"""Table 2 and figure 1 by hand."""

from __future__ import annotations

from statistics import fmean, pstdev

import pytest

from ghn.experiments.declared.scaling import FIGURE1, TABLE2, groups
from ghn.experiments.methods import RANDOM
from ghn.experiments.protocol import Results, trained, untrained
from ghn.experiments.scales import SMALL, hypernetworks
from tests.experiments.results import number, results


def test_the_best_networks_of_each_method_are_trained() -> None:
    first = list(TABLE2.stages[0](SMALL, Results()))
    second = list(TABLE2.stages[1](SMALL, results(first)))
    report = TABLE2.report(SMALL, results([*first, *second]))
    assert [row.name for row in report.rows] == ["random", *hypernetworks(SMALL)]
    method = hypernetworks(SMALL)["ghn3-t-m8"]
    models = sorted(SMALL.models, key=lambda model: -number(untrained(SMALL, method, model)))[: SMALL.best]
    for column, steps in ((3, SMALL.tenth), (5, SMALL.epoch)):
        values = [100 * number(trained(SMALL, method, model, steps)) for model in models]
        entry = report.rows[2].entries[column]
        assert entry is not None
        assert (entry.mean, entry.std, entry.count) == pytest.approx((fmean(values), pstdev(values), 2))
    values = [100 * number(trained(SMALL, RANDOM, model, SMALL.epoch)) for model in groups(SMALL)[0].models]
    entry = report.rows[0].entries[4]
    assert entry is not None
    assert entry.mean == pytest.approx(fmean(sorted(values)[-SMALL.best :])), "random starts by accuracy after an epoch"
    assert [each and each.mean for each in report.rows[0].published] == [0.2, 0.2, 5.2, 1.1, 34.7, 25.9]


def test_figure_1_draws_ours_and_the_paper_s() -> None:
    first = list(FIGURE1.stages[0](SMALL, Results()))
    everything = [*first, *FIGURE1.stages[1](SMALL, results(first))]
    ours, theirs = FIGURE1.report(SMALL, results(everything)).plots[0].series
    assert len(ours.x) == len(hypernetworks(SMALL))
    assert theirs.published
    assert list(theirs.x) == [2.3, 6.9, 6.9, 35.8, 35.8, 214.7, 214.7, 654.4, 654.4]
    assert list(theirs.y) == [16.0, 23.9, 23.6, 32.1, 31.8, 37.4, 38.0, 36.9, 40.3]
