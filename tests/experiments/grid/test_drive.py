"""Grids as users run them: every way to compute, kills, several drivers, what fails."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from ghn.experiments.grid.cell import Cell
from ghn.experiments.grid.drive import Grid, InterruptedGridError, Progress, Ran
from ghn.experiments.grid.executors import Executor, Here, Processes
from ghn.experiments.grid.place import open_place
from ghn.experiments.grid.store import Store
from ghn.experiments.grid.work import Outcome
from ghn.training.state import StateError
from ghn.training.workers.pool import WorkerKilledError
from tests.experiments import some
from tests.experiments.some import adding
from tests.warm import Program


def run(folder: Path, cells: Iterable[Cell], executor: Executor | None = None, **options: Any) -> Ran:
    executor = executor or Here()
    try:
        with Store(open_place(folder)) as store:
            return Grid(store, executor, **options).run(cells)
    finally:
        executor.close()


def values(folder: Path, cells: list[Cell]) -> list[Any]:
    """What is stored, in the order of the cells."""
    with Store(open_place(folder)) as store:
        found = {record["digest"]: record["value"] for record in store.records(cell.digest for cell in cells)}
    return [found.get(cell.digest) for cell in cells]


def computed(log: Path) -> list[str]:
    return sorted(line.split()[0] for line in log.read_text().splitlines()) if log.exists() else []


def test_each_cell_is_computed_once_and_grids_share_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    cells = adding(5, log=str(log))
    seen: list[Progress] = []
    ran = run(tmp_path / "results", [*cells[:3], cells[0]], progress=seen.append)
    assert (ran.there, ran.computed, ran.errors) == (0, 3, {})
    assert [(each.done, each.here) for each in seen] == [(1, True), (2, True), (3, True)]
    ran = run(tmp_path / "results", cells)
    assert (ran.there, ran.computed) == (3, 2)
    assert computed(log) == ["0", "1", "2", "3", "4"]
    assert values(tmp_path / "results", cells) == [{"sum": number + 1} for number in range(5)]


def test_cells_wait_for_those_they_need(tmp_path: Path) -> None:
    made = Cell(kind=some.FOLDER, settings={}, seed=7)
    reading = [Cell(kind=some.READ, settings={"number": number}, needs={"made": made}) for number in range(3)]
    assert run(tmp_path, reading).computed == 4
    assert values(tmp_path, reading) == [{"text": "made of 7"}] * 3


def chain(log: Path) -> tuple[Cell, Cell, list[Cell]]:
    """A cell that makes files, one that makes others of them, and those that read these."""
    first = Cell(kind=some.FOLDER, settings={"log": str(log), "name": "first"}, seed=7)
    second = Cell(kind=some.FOLDER, settings={"log": str(log), "name": "second"}, needs={"made": first}, seed=8)
    return first, second, [Cell(kind=some.READ, settings={"number": n}, needs={"made": second}) for n in range(3)]


@pytest.mark.parametrize("address", ["folder", "memory"])
@pytest.mark.parametrize("removed", [[0], [1], [0, 1]])
def test_files_that_were_removed_are_made_again_by_who_needs_them(
    tmp_path: Path, removed: list[int], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if address == "memory":
        pytest.importorskip("fsspec")
    where: Any = tmp_path / "results" if address == "folder" else f"memory://{tmp_path}"
    first, second, readers = chain(tmp_path / "log")
    assert run(where, [second]).computed == 2
    for number in removed:
        digest = (first, second)[number].digest
        if address == "folder":
            shutil.rmtree(where / "files" / digest)
        else:
            open_place(where).remove(f"files/{digest}/inner/text")
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    stored = values(where, [first, second])
    again = {(0,): 0, (1,): 1, (0, 1): 2}[tuple(removed)]
    ran = run(where, [first, second, *readers])
    assert (ran.errors, ran.done, ran.computed) == ({}, 5, 3 + again)
    assert values(where, readers) == [{"text": "made of 8"}] * 3
    assert values(where, [first, second]) == stored, "what was found first stays"
    assert run(where, [first, second, *readers]).there == 5
    assert len(computed(tmp_path / "log")) == 2 + again
    assert open_place(where).sizes("claims") == {}


def run_twice(folder: Path, cells: list[Cell]) -> list[Ran]:
    """By two drivers at the same time, from both ends."""
    rans: list[Ran] = []
    threads = [
        threading.Thread(target=lambda order=order: rans.append(run(folder, order))) for order in (cells, cells[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rans


def test_two_drivers_that_miss_files_make_them_once(tmp_path: Path) -> None:
    _, second, readers = chain(tmp_path / "log")
    run(tmp_path / "results", [second])
    shutil.rmtree(tmp_path / "results" / "files")
    rans = run_twice(tmp_path / "results", readers)
    assert [(ran.done, ran.errors) for ran in rans] == [(5, {})] * 2
    assert values(tmp_path / "results", readers) == [{"text": "made of 8"}] * 3
    assert computed(tmp_path / "log") == ["first", "first", "second", "second"]


def test_files_on_a_machine_that_others_do_not_see_are_told(tmp_path: Path) -> None:
    class Elsewhere(Here):
        """What is made is put where nobody looks for it."""

        def submit(self, task: Any) -> Any:
            future = super().submit(task)
            shutil.rmtree(tmp_path / "results" / "files", ignore_errors=True)
            return future

    first, second, _ = chain(tmp_path / "log")
    for _ in range(2):
        with pytest.raises(StateError, match=f"what the cell {first.digest[:8]} made is not at .* all machines see"):
            run(tmp_path / "results", [second], Elsewhere())
    assert computed(tmp_path / "log") == ["first", "first"], "each run tries once"


def test_what_fails_leaves_the_others_and_is_tried_again(tmp_path: Path) -> None:
    broken = Cell(kind=some.BROKEN, settings={"raises": "value"})
    needing = Cell(kind=some.READ, settings={}, needs={"made": broken})
    again = Cell(kind=some.READ, settings={"again": 1}, needs={"made": needing})
    cells = [again, broken, needing, *adding(2)]
    for _ in range(2):
        ran = run(tmp_path, cells)
        assert ran.errors == {
            broken.digest: "it cannot be",
            needing.digest: "what it needs failed: it cannot be",
            again.digest: "what it needs failed: what it needs failed: it cannot be",
        }
    assert ran.there == 2
    with pytest.raises(StateError, match="it cannot be"):
        run(tmp_path, [Cell(kind=some.BROKEN, settings={"raises": "data"}), *adding(9)])
    assert open_place(tmp_path).sizes("claims") == {}, "nothing stays claimed"


def test_a_process_that_is_killed_costs_its_own_cell_only(tmp_path: Path) -> None:
    once = Cell(kind=some.DEADLY, settings={"deaths": 1})
    log = tmp_path / "log"
    ran = run(tmp_path / "results", [once, *adding(20, log=str(log))], Processes(2))
    assert ran.errors == {}
    assert values(tmp_path / "results", [once]) == [{"deaths": 1}]
    assert computed(log) == sorted(map(str, range(20)))


def test_a_cell_that_always_kills_its_process_is_given_up(tmp_path: Path) -> None:
    class Killed(Here):
        def submit(self, task: Any) -> Any:
            future: Future[Outcome] = Future()
            future.set_exception(WorkerKilledError("gone"))
            return future if task.kind == some.DEADLY else super().submit(task)

    always = Cell(kind=some.DEADLY, settings={"deaths": 9})
    ran = run(tmp_path, [always, *adding(2)], Killed())
    assert ran.errors == {always.digest: "its process was killed 3 times; is there memory enough? (gone)"}
    assert ran.computed == 2
    assert open_place(tmp_path).sizes("claims") == {}


def test_two_drivers_share_the_work(tmp_path: Path) -> None:
    log = tmp_path / "log"
    cells = adding(40, log=str(log), seconds=0.01)
    rans = run_twice(tmp_path / "results", cells)
    assert [ran.done for ran in rans] == [40, 40]
    assert sum(ran.computed for ran in rans) == 40
    assert all(ran.computed > 3 for ran in rans), "both work"
    assert len(computed(log)) == 40, "nothing is computed twice"
    assert values(tmp_path / "results", cells) == [{"sum": number + 1} for number in range(40)]


def test_a_cell_that_another_driver_lets_go_is_computed_here(tmp_path: Path) -> None:
    cell = adding(1)[0]
    with Store(open_place(tmp_path)) as other:
        assert other.claim(cell.digest)
        threading.Timer(0.3, other.release, [cell.digest]).start()
        assert run(tmp_path, [cell]).computed == 1
        second = adding(2)[1]
        assert other.claim(second.digest)
        threading.Timer(0.3, other.finish, [{"digest": second.digest, "value": {"sum": 2}}]).start()
        assert run(tmp_path, [second]).there == 1


SCRIPT = """
import sys
from ghn.experiments.grid.drive import Grid
from ghn.experiments.grid.executors import Here, Processes
from ghn.experiments.grid.place import open_place
from ghn.experiments.grid.store import Store
from ghn.experiments.grid.cell import Cell
from tests.experiments.some import SLOW
if __name__ == "__main__":
    folder, log, workers, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    cells = [Cell(kind=SLOW, settings={"number": n, "log": log, "seconds": seconds}) for n in range(12)]
    if workers > 9:
        from ghn.experiments.grid.ray_cluster import RayCluster
        executor = RayCluster("local", slots=2)
    else:
        executor = Processes(workers) if workers > 1 else Here()
    print("ready", flush=True)
    with Store(open_place(folder)) as store:
        Grid(store, executor).run(cells)
    executor.close()
"""


def slow_cells(log: Path, seconds: float) -> list[Cell]:
    return [Cell(kind=some.SLOW, settings={"number": n, "log": str(log), "seconds": seconds}) for n in range(12)]


def start(tmp_path: Path, workers: int, seconds: float) -> Program:
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    words = [str(tmp_path / "results"), str(tmp_path / "log"), str(workers), str(seconds)]
    process = Program(SCRIPT, *words, file=tmp_path / "script.py", env=environment)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    "workers", [1, pytest.param(4, marks=pytest.mark.slow), pytest.param(99, marks=pytest.mark.slow, id="ray")]
)
def test_drivers_that_are_killed_lose_no_finished_cell(tmp_path: Path, workers: int) -> None:
    if workers > 9:
        pytest.importorskip("ray")
    chance = random.Random(workers)
    cells = slow_cells(tmp_path / "log", 0.01)
    for _ in range(2):
        process = start(tmp_path, workers, 0.01)
        time.sleep(chance.uniform(0.1, 1.0))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        finished = sum(value is not None for value in values(tmp_path / "results", cells))
        before = len(computed(tmp_path / "log"))
        # One whose driver was killed between its end and its storing is under a second old, and computed again.
        assert before - finished <= 3 * workers
    ran = run(tmp_path / "results", cells)
    assert ran.there >= finished
    assert ran.errors == {}
    assert values(tmp_path / "results", cells) == [{"parts": 10, "number": number} for number in range(12)]
    stored = [record["digest"] for record in _all_records(tmp_path / "results")]
    assert len(stored) == len(set(stored)) == 12


def _all_records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in (folder / "results").iterdir() for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_workers_that_are_killed_from_outside_change_nothing(tmp_path: Path) -> None:
    cells = slow_cells(tmp_path / "log", 0.03)
    executor = Processes(2)
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if len(killed) < 3:
            (process,) = random.Random(progress.done).sample(sorted(executor._pool._all, key=id), 1)
            victim = next(iter(process._processes.values()))
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    ran = run(tmp_path / "results", cells, executor, progress=kill_one)
    assert len(killed) == 3
    assert ran.computed == 12
    assert values(tmp_path / "results", cells) == [{"parts": 10, "number": number} for number in range(12)]
    # Parts that were done before a kill are not done again.
    assert computed(tmp_path / "log") == sorted(map(str, range(12)))


@pytest.mark.slow
def test_stopped_by_sigint_it_goes_on(tmp_path: Path) -> None:
    process = start(tmp_path, 2, 0.03)
    end = time.monotonic() + 60
    while not computed(tmp_path / "log") and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "InterruptedGridError: stopped after" in errors
    assert "the same command goes on" in errors
    assert open_place(tmp_path / "results").sizes("claims") == {}
    cells = slow_cells(tmp_path / "log", 0.03)
    run(tmp_path / "results", cells)
    assert values(tmp_path / "results", cells) == [{"parts": 10, "number": number} for number in range(12)]


def test_a_cell_that_was_stopped_stops_the_grid(tmp_path: Path) -> None:
    class Stopping(Here):
        def submit(self, task: Any) -> Any:
            future = super().submit(task)
            if task.settings["number"] == 2:
                future = type(future)()
                future.set_result(Outcome(digest=task.digest, stopped=True))
            return future

    with pytest.raises(InterruptedGridError, match="stopped after 2 cells"):
        run(tmp_path, adding(5), Stopping())
    assert open_place(tmp_path).sizes("claims") == {}


def test_overhead_does_not_grow_with_the_grid(tmp_path: Path) -> None:
    """A thousand cells; benchmarks/grid.py has a hundred thousand."""
    began = time.process_time()
    ran = run(tmp_path, (Cell(kind=some.ADD, settings={"number": number}) for number in range(1000)))
    assert ran.computed == 1000
    assert (time.process_time() - began) / 1000 < 0.005
    began = time.process_time()
    assert run(tmp_path, (Cell(kind=some.ADD, settings={"number": number}) for number in range(1000))).there == 1000
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_waits_for_another_driver_can_be_stopped(number: signal.Signals, tmp_path: Path) -> None:
    (cell,) = adding(1)
    with Store(open_place(tmp_path)) as other:
        assert other.claim(cell.digest)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
        timer.start()
        with pytest.raises(InterruptedGridError, match="stopped after 0 cells; the same command goes on"):
            run(tmp_path, [cell])
        timer.join()
