"""Table 6, figures 6 and 8: full trainings."""

from __future__ import annotations

from statistics import fmean

import pytest

from ghn.experiments.declared.curves import FIGURE6, FIGURE8, TABLE6, best, methods, moments, variants
from ghn.experiments.protocol import Results
from ghn.experiments.published import rows_of
from ghn.experiments.scales import PAPER, SMALL
from ghn.finetuning import FinetuneConfig
from tests.experiments.results import number, results


def test_the_paper_s_trainings() -> None:
    assert tuple(method.name for method in methods(PAPER)) == rows_of("table6")
    random, *_, ghn3 = methods(PAPER)
    (plain,) = variants(PAPER, random, "resnet50", 0)
    training = FinetuneConfig.from_dict(plain.settings["training"])
    assert (training.steps, training.schedule, training.rates) == (900_000, "thirds", (0.1,))
    assert (training.optimizer, training.momentum, training.batch_size) == ("sgd", 0.9, 128)
    (predicted,) = variants(PAPER, ghn3, "resnet152", 2)
    assert FinetuneConfig.from_dict(predicted.settings["training"]).rates == (0.1, 0.025, 0.01)
    assert predicted.seed == 2
    swin = [FinetuneConfig.from_dict(cell.settings["training"]) for cell in variants(PAPER, ghn3, "swin_t", 0)]
    assert [(each.optimizer, each.schedule, each.batch_size, each.weight_decay) for each in swin] == [
        ("adamw", "cosine", 512, 0.01), ("adamw", "cosine", 512, 0.05)
    ]  # fmt: skip
    assert swin[0].rates == (1e-3, 6e-4, 3e-4)
    assert moments(PAPER) == [10_000, 450_000, 900_000]


def test_table_6_by_hand() -> None:
    cells = TABLE6.stages[0](SMALL, Results())
    report = TABLE6.report(SMALL, results(cells))
    chosen = [variants(SMALL, methods(SMALL)[0], "resnet18", seed)[0] for seed in range(SMALL.seeds)]
    last = report.rows[0].entries[3]
    assert last is not None
    assert last.mean == pytest.approx(fmean(100 * number(cell) for cell in chosen))
    assert last.count == SMALL.seeds
    assert report.rows[0].entries[0] is not None
    assert report.rows[0].entries[0].mean == 2.0
    assert report.rows[1].published[0] is not None
    assert report.rows[1].published[0].mean == 1700


def test_of_several_trainings_the_best_on_held_out_images_counts() -> None:
    cells = variants(PAPER, methods(PAPER)[4], "swin_t", 0)
    found = results(cells)
    assert best(found, cells) == max(cells, key=number)
    assert best(Results(), cells) is None


def test_figures_have_a_curve_for_each_start() -> None:
    for figure, count in ((FIGURE6, 2), (FIGURE8, 1)):
        report = figure.report(SMALL, results(figure.stages[0](SMALL, Results())))
        assert len(report.plots) == count
        assert [series.name for series in report.plots[0].series] == [method.name for method in methods(SMALL)]
        first = report.plots[0].series[0]
        assert first.x[-1] == SMALL.long_epochs
        assert len(first.x) == len(first.y) == len(first.band)
    assert [plot.title for plot in FIGURE8.report(PAPER, Results()).plots] == ["resnet152", "swin_t"]
