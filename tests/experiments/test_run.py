"""An experiment stage by stage: what there is is used, what fails is told, what is stopped goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.grid.drive import Progress
from ghn.experiments.grid.place import open_place
from ghn.experiments.grid.store import Store
from ghn.experiments.protocol import Results
from ghn.experiments.report import Entry, Report, Row
from ghn.experiments.run import InterruptedExperimentError, run_experiment, with_needs
from ghn.experiments.scales import SMALL, Scale
from tests.experiments import some
from tests.experiments.some import adding


def _second(scale: Scale, results: Results) -> list[Cell]:
    """Of the cells before, the one with the greatest sum is asked for again with another seed."""
    first = adding(3)
    best = max(first, key=lambda cell: (results.value(cell) or {"sum": -1})["sum"])
    return [replace(best, seed=5), Cell(kind=some.BROKEN, settings={"raises": "value"})]


def _report(scale: Scale, results: Results) -> Report:
    sums = [results.value(cell) for cell in [*adding(3), replace(adding(3)[2], seed=5)]]
    entries = [Entry.of(None if value is None else value["sum"] for value in sums)]
    rows = [Row(name="sum", entries=entries, published=[None])]
    return EXPERIMENT.made(scale, results, columns=["mean"], rows=rows)


EXPERIMENT: Experiment = Experiment(name="table1", stages=[lambda scale, _: adding(3), _second], report=_report)


def test_stages_see_what_those_before_them_found(tmp_path: Path) -> None:
    begun: list[Any] = []
    seen: list[Progress] = []
    with Store(open_place(tmp_path)) as store:
        done = run_experiment(EXPERIMENT, SMALL, store, begin=lambda *stage: begun.append(stage), progress=seen.append)
    assert begun == [(0, 3), (1, 2)]
    assert len(done.cells) == 5
    entry = done.report.rows[0].entries[0]
    assert entry == Entry.of([1, 2, 3, 7])
    assert list(done.failed.values()) == ["it cannot be"]
    assert list(done.report.failed) == ["tests.experiments.some:broken seed 0: it cannot be"]
    with Store(open_place(tmp_path)) as store:
        again = run_experiment(EXPERIMENT, SMALL, store)
    assert again.report == done.report


def test_what_was_stopped_reports_what_there_is(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with (
        Store(open_place(tmp_path)) as store,
        pytest.raises(InterruptedExperimentError, match="stopped after 2") as error,
    ):
        run_experiment(EXPERIMENT, SMALL, store, progress=stop)
    assert error.value.partial.report.rows[0].entries[0] == Entry.of([1, 2])


def test_needs_come_first_and_once() -> None:
    made = Cell(kind=some.FOLDER, settings={})
    cells: Sequence[Cell] = [Cell(kind=some.READ, settings={"n": n}, needs={"made": made}) for n in range(2)]
    assert with_needs([*cells, made]) == [made, *cells]
