"""Logs as they grow, whatever state they are in."""

import json
import os
from pathlib import Path

import pytest

from ghn.analysis.curves import logs
from ghn.analysis.curves.logs import MOST_CURVES, MOST_POINTS, MOST_SHOWN, Curve, Log, Logs, run_name
from ghn.training.logbook import FILE, Logbook


def line(step: int, **values: object) -> str:
    return json.dumps({"step": step, **values}) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / FILE


def points(log: Log, name: str = "loss") -> list[tuple[int, float | None]]:
    log.refresh()
    curve = log.curves.get(name, Curve())
    return list(zip(curve.steps, curve.values, strict=True))


def test_what_a_training_writes_is_read_as_it_comes(tmp_path: Path, file: Path) -> None:
    book, log = Logbook(tmp_path), Log(file)
    assert points(log) == []
    book.write(1, {"loss": 2.0, "accuracy": 0.1})
    assert points(log) == [(1, 2.0)]
    book.write(2, {"loss": 1.5})
    book.write(3, {"test_loss": 4.0})
    assert points(log) == [(1, 2.0), (2, 1.5)]
    assert points(log, "test_loss") == [(3, 4.0)]
    assert list(log.curves) == ["loss", "accuracy", "test_loss"]
    book.close()


def test_a_line_is_read_once_it_is_whole(file: Path) -> None:
    log = Log(file)
    whole = line(1, loss=2.0) + line(2, loss=1.0)
    for end in range(1, len(whole) + 1):
        file.write_text(whole[:end])
        found = points(log)
        assert len(found) == whole[:end].count("\n")
    assert found == [(1, 2.0), (2, 1.0)]
    assert log.dropped == 0


def test_a_log_that_was_cut_or_replaced_is_read_anew(file: Path) -> None:
    log = Log(file)
    file.write_text(line(1, loss=2.0) + line(2, loss=1.0) + line(3, loss=0.5))
    assert len(points(log)) == 3
    file.write_text(line(1, loss=2.0))
    assert points(log) == [(1, 2.0)]
    other = file.with_name("other")
    other.write_text(line(1, loss=2.0) + line(2, loss=7.0) + line(3, loss=7.0) + line(4, loss=7.0))
    os.replace(other, file)
    assert points(log)[1:] == [(2, 7.0), (3, 7.0), (4, 7.0)]


@pytest.mark.parametrize(
    "damaged",
    [
        b"no JSON",
        b"[1]",
        b"{}",
        b'{"step": "1", "loss": 2}',
        b'{"step": true, "loss": 2}',
        b'{"step": -1, "loss": 2}',
        b'{"step": 1e3}',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"step": 1, "loss": ' + b"9" * 70_000 + b"}",
    ],
)
def test_what_is_no_line_is_left_out(file: Path, damaged: bytes) -> None:
    file.write_bytes(line(1, loss=2.0).encode() + damaged + b"\n" + line(2, loss=1.0).encode())
    log = Log(file)
    assert points(log) == [(1, 2.0), (2, 1.0)]
    assert log.dropped == 1


def test_a_line_without_end_takes_no_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_READ", 1 << 16)
    file.write_bytes(b"x" * 300_000)
    log = Log(file)
    for _ in range(8):
        log.refresh()
        assert len(log._rest) <= 1 << 16
    with open(file, "ab") as opened:
        opened.write(b"\n" + line(5, loss=1.0).encode())
    assert points(log) == [(5, 1.0)]


def test_only_numbers_are_curves(file: Path) -> None:
    file.write_text('{"step": 1, "loss": NaN, "text": "x", "flag": true, "list": [1], "none": null, "big": 1e999}\n')
    log = Log(file)
    assert points(log) == [(1, None)]
    assert list(log.curves) == ["loss", "none", "big"]
    file.write_text(line(2, loss=10**400))
    assert points(Log(file)) == [(2, None)]


def test_no_more_quantities_than_can_be_looked_at(file: Path) -> None:
    file.write_text(line(1, **{f"v{i}": i for i in range(500)}))
    log = Log(file)
    log.refresh()
    assert len(log.curves) == MOST_CURVES


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    curve = Curve()
    for step in range(50_000):
        curve.add(step, 2.0 * step)
    assert len(curve.steps) <= MOST_POINTS
    steps, values = curve.shown()
    assert len(steps) == len(values) == MOST_SHOWN
    assert steps[0] == 0
    assert steps[-1] == curve.steps[-1] > 49_900
    assert steps == sorted(set(steps))
    assert values == [2.0 * step for step in steps]


def test_pipes_and_missing_files_are_not_waited_for(tmp_path: Path, file: Path) -> None:
    os.mkfifo(file)
    log = Log(file)
    assert points(log) == []


def test_all_logs_below_a_folder(tmp_path: Path) -> None:
    for place in ("default-37a8eec1/seed-0/rate-0.1", "ghn+calibrate-a6788b8c/seed-0/rate-0.1", ".hidden"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / FILE).write_text(line(1, loss=2.0))
    found = Logs(tmp_path)
    document = found.document()
    assert [run["name"] for run in document["runs"]] == [
        "default / seed-0 / rate-0.1",
        "ghn+calibrate / seed-0 / rate-0.1",
    ]
    assert document["runs"][0]["curves"] == {"loss": ([1], [2.0])}
    (tmp_path / FILE).write_text(line(7, loss=1.0))
    assert tmp_path.name in [run["name"] for run in found.document()["runs"]]
    assert json.loads(json.dumps(found.document(), allow_nan=False))


def test_the_latest_logs_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_LOGS", 2)
    for number in range(4):
        (tmp_path / f"run{number}").mkdir()
        (tmp_path / f"run{number}" / FILE).write_text(line(1, loss=2.0))
        os.utime(tmp_path / f"run{number}" / FILE, (number, 1000 - number))
    document = Logs(tmp_path).document()
    assert [run["name"] for run in document["runs"]] == ["run0", "run1"]
    assert document["left_out"] == 2


def test_names_are_safe_to_show(tmp_path: Path) -> None:
    assert run_name(tmp_path / "a\x1b[31m", tmp_path) == "a\\x1b[31m"
