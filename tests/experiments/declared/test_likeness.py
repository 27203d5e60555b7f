"""Table 9 and figure 2: how unlike tensors and filters are."""

from __future__ import annotations

from pathlib import Path

from ghn.experiments.declared.likeness import FIGURE2, TABLE9, methods, starts
from ghn.experiments.figure import draw
from ghn.experiments.protocol import Results, analysis
from ghn.experiments.scales import PAPER, SMALL
from tests.experiments.results import number, results


def test_table_9_by_hand() -> None:
    report = TABLE9.report(SMALL, results(TABLE9.stages[0](SMALL, Results())))
    for row, method in zip(report.rows, methods(SMALL), strict=True):
        expected = number(analysis(SMALL, "diversity", method, *SMALL.analysed))
        assert [entry and entry.mean for entry in row.entries] == [expected] * 3
    published = {row.name: [each and each.mean for each in row.published] for row in report.rows}
    assert published["ghn2-m8"] == [0.001, 0.283, 0.07]
    assert published["random"] == [None] * 3
    assert "the shapes are 64x3x7x7x1 (5 tensors)" in report.notes[1]


def test_the_papers_table_has_trained_weights_of_all_74() -> None:
    report = TABLE9.report(PAPER, Results())
    assert report.rows[-1].name == "trained"
    assert sorted(PAPER.analysed) == sorted(PAPER.models)
    assert [each and each.mean for each in report.rows[-1].published] == [0.388, 0.917, 0.895]


def test_figure_2_draws_the_filters_that_there_are(tmp_path: Path) -> None:
    assert not FIGURE2.report(SMALL, Results()).to_draw
    cells = FIGURE2.stages[0](SMALL, Results())
    report = FIGURE2.report(SMALL, results(cells[:2]))
    assert [picture.title for picture in report.pictures] == [method.name for method in starts(SMALL)]
    assert len(report.to_draw) == 2
    assert report.to_dict()["pictures"][-1] == "random"
    draw(report, tmp_path / "figure2.png")
    assert (tmp_path / "figure2.png").stat().st_size > 1000
