"""One cell: its value, its errors, what is kept of it over kills."""

from __future__ import annotations

import asyncio
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.experiments.grid import work
from ghn.experiments.grid.cell import Cell, Found, Job, Kind
from ghn.experiments.grid.drive import Grid
from ghn.experiments.grid.place import open_place
from ghn.experiments.grid.store import Store
from ghn.experiments.grid.work import Task, compute, forget
from ghn.training.state import locked
from tests.experiments import some


def task(folder: Path, kind: str, seed: int = 0, needs: dict[str, str] | None = None, **settings: object) -> Task:
    digest = Cell(kind=kind, settings=settings, seed=seed).digest
    return Task(digest=digest, kind=kind, settings=settings, seed=seed, needs=needs or {}, place=open_place(folder))


def test_a_value_and_its_times(tmp_path: Path) -> None:
    outcome = compute(task(tmp_path, some.ADD, 3, number=4))
    assert outcome.value == {"sum": 7}
    assert set(outcome.times) == {"part", "total"}
    assert not list(tmp_path.iterdir()), "a quick cell leaves nothing"


@pytest.mark.parametrize(
    ("raises", "fatal", "error"),
    [("value", False, "it cannot be"), ("data", True, "it cannot be"), ("other", False, "RuntimeError: it cannot be")],
)
def test_errors_are_told_by_whom_they_concern(tmp_path: Path, raises: str, fatal: bool, error: str) -> None:
    outcome = compute(task(tmp_path, some.BROKEN, raises=raises))
    assert (outcome.value, outcome.error, outcome.fatal) == (None, error, fatal)


def test_files_reach_the_cells_that_need_them(tmp_path: Path) -> None:
    made = task(tmp_path, some.FOLDER, 5)
    assert compute(made).error is None
    outcome = compute(task(tmp_path, some.READ, needs={"made": made.digest}))
    assert outcome.value == {"text": "made of 5"}
    lost = compute(task(tmp_path, some.READ, needs={"made": "0" * 32}))
    assert lost.fatal
    assert "take a folder that all machines see" in str(lost.error)


def test_what_a_killed_attempt_left_is_not_in_the_way(tmp_path: Path) -> None:
    made = task(tmp_path, some.FOLDER, 5)
    left = made.place.work / made.digest / "output" / "inner"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert compute(made).error is None
    folder = made.place.folder(f"files/{made.digest}")
    assert folder is not None
    assert [file.name for file in (folder / "inner").iterdir()] == ["text"]


def test_an_outcome_is_kept_until_the_driver_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "WORTH_KEEPING", 0.0)
    log = tmp_path / "log"
    given = task(tmp_path / "results", some.ADD, number=1, log=str(log))
    first = compute(given)
    second = compute(given)
    assert first == second
    assert len(log.read_text().splitlines()) == 1, (
        "what was computed before its driver was killed is not computed again"
    )
    slow = task(tmp_path / "results", some.SLOW, number=1, seconds=0.0)
    compute(slow)
    assert not (slow.place.work / slow.digest / "state").exists(), "what it took to go on is not needed any more"
    forget(given.place, given.digest)
    compute(given)
    assert len(log.read_text().splitlines()) == 2


def test_an_outcome_whose_files_were_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "WORTH_KEEPING", 0.0)
    made = task(tmp_path, some.FOLDER, 5)
    compute(made)
    shutil.rmtree(tmp_path / "files")
    assert compute(made).error is None
    assert made.place.folder(f"files/{made.digest}") is not None


@pytest.mark.parametrize(
    "content",
    [
        '{"value": {"sum": 1}, "times": {"total": null}}',
        '{"value": {"sum": 1}, "times": {"total": "long"}}',
        '{"value": {"sum": 1}, "times": {"total": 1e400}}',
        '{"value": {"sum": 1}, "times": {"total": 1%s}}' % ("0" * 400),
        '{"value": {"sum": 1}, "times": [1]}',
        '{"value": {"sum": 1}}',
        '{"value": {"sum": [1e400]}, "times": {}}',
        '{"value": 7, "times": {}}',
        "\0\0",
    ],
)
def test_a_damaged_outcome_is_computed_anew(tmp_path: Path, content: str) -> None:
    cell = Cell(kind=some.ADD, settings={"number": 4})
    kept = open_place(tmp_path).work / cell.digest
    kept.mkdir(parents=True)
    (kept / work.OUTCOME).write_text(content)
    with Store(open_place(tmp_path)) as store:
        assert Grid(store).run([cell]).computed == 1
        assert [record["value"] for record in store.records([cell.digest])] == [{"sum": 4}]


class Name(str):
    """Text of a class of its own."""


def exits(_: Job) -> Found:
    sys.exit(3)


def cancelled(_: Job) -> Found:
    raise asyncio.CancelledError


def found(**fields: Any) -> Found:
    """What a kind of a user's gives, who runs no type checker."""
    return Found(**fields)


@pytest.mark.parametrize(
    ("run", "error"),
    [
        (exits, "SystemExit: 3"),
        (cancelled, "CancelledError: "),
        (lambda _: Found(value={"a": {1, 2}}), "no value for JSON with times: Object of type set"),
        (lambda _: Found(value={"a": torch.ones(1)}), "no value for JSON with times: Object of type Tensor"),
        (lambda _: found(value=[1]), "no value for JSON with times"),
        (lambda _: None, "no value for JSON with times"),
        (lambda _: found(value={}, times={"step": "long"}), "no value for JSON with times: could not convert"),
        (lambda _: found(value={}, times={"step": None}), "no value for JSON with times"),
    ],
)
def test_whatever_a_cell_does_is_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Job], Found], error: str
) -> None:
    bad = Cell(kind=some.ADD, settings={"number": 4})
    good = Cell(kind=some.SLOW, settings={"number": 4, "seconds": 0.0})
    monkeypatch.setattr(some, "add", Kind(version=1, run=run))
    with Store(open_place(tmp_path)) as store:
        ran = Grid(store).run([bad, good])
    assert ran.computed == 1
    assert error.strip() in ran.errors[bad.digest]


def test_times_that_are_no_numbers_of_json_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"none": float("nan"), "tensor": torch.tensor(0.5)}
    found = Found(value={"name": Name("a"), "pair": (1, 2)}, times=times)  # type: ignore[arg-type]
    monkeypatch.setattr(some, "add", Kind(version=1, run=lambda _: found))
    outcome = compute(task(tmp_path, some.ADD, number=1))
    assert (outcome.value, type(outcome.value and outcome.value["name"])) == ({"name": "a", "pair": [1, 2]}, str)
    assert {name: value for name, value in outcome.times.items() if name != "total"} == {"tensor": 0.5}


def test_a_process_that_ends_by_its_cluster_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(some, "add", Kind(version=1, run=exits))
    with pytest.raises(SystemExit):
        compute(task(tmp_path, some.ADD, number=1), exits=True)


def test_a_process_that_still_ends_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = task(tmp_path, some.SLOW, number=1, seconds=0.0)
    other = locked(given.place.work / given.digest)
    other.__enter__()
    ending = threading.Timer(0.5, other.__exit__, (None, None, None))
    ending.start()
    assert compute(given).value == {"parts": 10, "number": 1}
    ending.join()
    monkeypatch.setattr(work, "PATIENCE", 0.1)
    with locked(given.place.work / given.digest):
        refused = compute(given)
    assert refused.fatal
    assert "another cell runs in" in str(refused.error)


def test_threads_are_set_for_the_cell_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def look(job: Job) -> Found:
        seen.append(torch.get_num_threads())
        return Found(value={"nan": float("nan"), "all": [1.0, float("inf")]})

    monkeypatch.setattr(some, "add", Kind(version=1, run=look))
    before = torch.get_num_threads()
    plain = task(tmp_path, some.ADD, number=1)
    outcome = compute(Task(**{**vars(plain), "threads": before + 1}))
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    assert outcome.value == {"nan": None, "all": [1.0, None]}, "JSON has no NaN"
