"""The same cells in this process and in several."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ghn.experiments.grid.cell import Cell
from ghn.experiments.grid.drive import Grid
from ghn.experiments.grid.executors import Here, Processes
from ghn.experiments.grid.place import open_place
from ghn.experiments.grid.store import Store
from ghn.experiments.grid.work import Task
from tests.experiments import some


def test_what_is_computed_does_not_depend_on_where(tmp_path: Path) -> None:
    here, processes = Here(), Processes(2)
    assert (here.slots, processes.slots) == (1, 2)
    tasks = []
    for number in range(4):
        cell = Cell(kind=some.ADD, settings={"number": number, "log": str(tmp_path / "log")}, seed=2)
        tasks.append(
            Task(
                digest=cell.digest, kind=cell.kind, settings=cell.settings, seed=2, needs={}, place=open_place(tmp_path)
            )
        )
    alone = [here.submit(task).result().value for task in tasks]
    both = []
    for first, second in (tasks[:2], tasks[2:]):
        both += [future.result().value for future in [processes.submit(first), processes.submit(second)]]
    here.close()
    processes.close()
    assert alone == both == [{"sum": number + 2} for number in range(4)]
    processes_seen = {int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()}
    assert os.getpid() in processes_seen
    assert len(processes_seen) >= 2
    with pytest.raises(ValueError, match="workers must be at least 1"):
        Processes(0)


def test_no_more_processes_start_than_there_are_cells_to_compute(tmp_path: Path) -> None:
    processes = Processes(64)
    made = Cell(kind=some.FOLDER, settings={}, seed=7)
    reading = [Cell(kind=some.READ, settings={"number": number}, needs={"made": made}) for number in range(2)]
    try:
        with Store(open_place(tmp_path)) as store:
            assert Grid(store, processes).run([*reading, *reading]).computed == 3
        assert 1 <= len(processes._pool._all) <= 2, "one cell at first, then two beside each other"
    finally:
        processes.close()
