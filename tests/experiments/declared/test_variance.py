"""Figure 9: what layers give."""

from __future__ import annotations

from ghn.experiments.declared.curves import FIGURE6
from ghn.experiments.declared.variance import FIGURE9, methods
from ghn.experiments.protocol import Results, analysis
from ghn.experiments.scales import PAPER, SMALL
from tests.experiments.results import number, results


def test_figure_9_by_hand() -> None:
    report = FIGURE9.report(SMALL, results(FIGURE9.stages[0](SMALL, Results())))
    assert [plot.title for plot in report.plots] == list(SMALL.variance_models)
    expected = [number(analysis(SMALL, "variance", method, "resnet18")) for method in methods(SMALL)]
    # What is not finite has no point.
    assert [list(series.x) for series in report.plots[0].series] == [[1, 3]] * len(expected)
    assert [series.y[-1] for series in report.plots[0].series] == expected
    assert [entry and entry.mean for entry in report.rows[0].entries] == [1.0, expected[0], 1.0, expected[0]]
    assert "resnet18 from random is not finite from at b, layer 2 of 3 on" in report.notes


def test_before_anything_is_computed_there_is_nothing_to_draw() -> None:
    report = FIGURE9.report(SMALL, Results())
    assert report.has_figure
    assert not report.to_draw


def test_trained_weights_are_looked_at_where_there_are_any() -> None:
    assert [method.name for method in methods(PAPER)] == ["random", "trained", "ghn2-m8", "ghn3-xl-m16"]


def test_figure_6_has_the_activations_of_its_network() -> None:
    report = FIGURE6.report(SMALL, results(FIGURE6.stages[0](SMALL, Results())))
    assert [(plot.title, plot.logarithmic_y) for plot in report.plots] == [("resnet18", False), ("resnet18", True)]
