"""Every experiment in both sizes: its cells are plain data, its report is whole with and without results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ghn.evaluate import EvaluationConfig
from ghn.experiments.catalogue import experiment_named
from ghn.experiments.figure import draw
from ghn.experiments.grid.cell import KINDS, Cell
from ghn.experiments.listing import EXPERIMENTS
from ghn.experiments.protocol import Results
from ghn.experiments.run import with_needs
from ghn.experiments.scales import PAPER, SMALL
from ghn.finetuning import FinetuneConfig
from ghn.finetuning.detection.config import DetectionConfig
from ghn.initializers import create
from ghn.meta.config import MetaTrainingConfig
from tests.experiments.results import results


def all_cells(name: str, scale: object) -> list[Cell]:
    experiment = experiment_named(name)
    cells: list[Cell] = []
    for stage in experiment.stages:
        cells += with_needs(stage(scale, results(cells)))  # type: ignore[arg-type]
    return cells


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_small_size_is_whole(name: str, tmp_path: Path) -> None:
    experiment = experiment_named(name)
    empty = experiment.report(SMALL, Results())
    assert len(empty.markdown().splitlines()) > 4
    cells = all_cells(name, SMALL)
    for cell in cells:
        check(cell)
    report = experiment.report(SMALL, results(cells))
    assert all(len(row.entries) == len(row.published) == len(report.columns) for row in report.rows)
    assert any(entry is not None for row in report.rows for entry in row.entries)
    json.dumps(report.to_dict(), allow_nan=False)
    if name.startswith("figure"):
        draw(report, tmp_path / "figure.svg")
    # More than an hour on two cores would be no small size.
    steps = sum(
        cell.settings["training"]["steps"] * len(cell.settings["training"].get("learning_rates") or [1] * 5)
        for cell in cells
        if cell.kind in ("finetune", "pretrain")
    )
    assert steps < 10_000


@pytest.mark.parametrize("name", ["table1", "table3", "table6", "table10", "figure5"])
def test_the_paper_s_size_is_declared(name: str) -> None:
    cells = with_needs(experiment_named(name).stages[0](PAPER, Results()))
    for cell in cells:
        check(cell)
    report = experiment_named(name).report(PAPER, results(cells))
    assert all(len(row.entries) == len(row.published) == len(report.columns) for row in report.rows)


def check(cell: Cell) -> None:
    """Its settings are understood by those who compute it."""
    assert cell.kind in KINDS
    json.dumps(cell.settings, allow_nan=False)
    if cell.kind == "detect":
        DetectionConfig.from_dict(cell.settings["training"])
    elif "training" in cell.settings:
        assert FinetuneConfig.from_dict(cell.settings["training"]).data_root is None
    if "evaluation" in cell.settings:
        EvaluationConfig.from_dict({**cell.settings["evaluation"], "models": [cell.settings["model"]]})
    if "config" in cell.settings:
        MetaTrainingConfig.from_dict(cell.settings["config"])
    if "init" in cell.settings:
        create(cell.settings["init"].replace("{hypernet}", "ghn3-t-cifar10").replace("{pretrained}", "here"))
