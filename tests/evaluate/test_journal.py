"""A folder that loses no finished network, whenever a process ends."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghn.evaluate.config import EvaluationConfig
from ghn.evaluate.journal import CONFIG_FILE, LINES_FILE, Journal, read_finished
from ghn.evaluate.results import NetworkResult
from ghn.training.state import StateError
from tests.evaluate.some import RESULT
from tests.evaluate.test_config import CONFIG


def results(count: int) -> list[NetworkResult]:
    return [replace(RESULT, index=index, top1=index / 7) for index in range(count)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "run", CONFIG, {})
    assert journal.finished() == {}
    for result in results(3):
        journal.append(result)
    assert list(Journal(tmp_path / "a" / "run", CONFIG, {}).finished().values()) == results(3)
    assert (tmp_path / "a" / "run" / LINES_FILE).read_bytes().count(b"\n") == 3


def test_a_line_cut_anywhere_is_repaired(tmp_path: Path) -> None:
    journal = Journal(tmp_path, CONFIG, {})
    for result in results(2):
        journal.append(result)
    file = tmp_path / LINES_FILE
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for end in [*range(first, len(whole), 37), len(whole) - 1, 1]:
        file.write_bytes(whole[:end])
        there = 1 if end >= first else 0
        # A line that lacks nothing but its end is a line, but the next one begins anew.
        complete = end == len(whole) - 1
        assert len(journal.finished()) == there + complete
        for result in results(3):
            if result.key not in journal.finished() or complete:
                journal.append(result)
        assert sorted(key[2] for key in journal.finished()) == [0, 1, 2]
        assert next(iter(journal.finished().values())) == results(1)[0]
        for line in file.read_bytes().splitlines():
            json.loads(line)


def test_damaged_lines_are_none_and_the_first_of_two_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path, CONFIG, {})
    journal.append(RESULT)
    with open(tmp_path / LINES_FILE, "ab") as file:
        file.write(b'\xff\n{"model": "test 1"}\n[]\n7\n\n' + b"[" * 100_000 + b"\n")
    journal.append(replace(RESULT, top1=0.9))
    journal.append(replace(RESULT, index=1))
    assert [(key[2], one.top1) for key, one in read_finished(tmp_path).items()] == [(0, 0.1), (1, 0.1)]


def test_processes_may_append_at_once(tmp_path: Path) -> None:
    def append(part: int) -> None:
        journal = Journal(tmp_path, CONFIG, {})
        for result in results(60)[part::3]:
            journal.append(result)

    threads = [threading.Thread(target=append, args=(part,)) for part in range(3)]
    Journal(tmp_path, CONFIG, {})
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_finished(tmp_path).values(), key=lambda one: one.index) == results(60)


@pytest.mark.parametrize(
    ("changes", "hypernets", "message"),
    [
        ({"seed": 1}, {"ghn": "1"}, "holds another evaluation: seed=0, not 1; take another folder, or that value"),
        ({"images": None}, {"ghn": "1"}, "images=8, not None"),
        ({"starts": ("default",)}, {"ghn": "1"}, "starts="),
        ({}, {"ghn": "2"}, "holds another evaluation: ghn reads other files or weights than before"),
    ],
)
def test_another_evaluation_is_refused(
    changes: dict[str, Any], hypernets: dict[str, str], message: str, tmp_path: Path
) -> None:
    Journal(tmp_path, CONFIG, {"ghn": "1"})
    Journal(tmp_path, replace(CONFIG, data_root="moved", image_workers=3), {"ghn": "1"})
    with pytest.raises(StateError, match=message) as error:
        Journal(tmp_path, replace(CONFIG, **changes), hypernets)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"config": 7, "digests": {}}', '{"config": {}}'])
def test_a_damaged_configuration(content: str, tmp_path: Path) -> None:
    Journal(tmp_path, CONFIG, {})
    (tmp_path / CONFIG_FILE).write_text(content)
    with pytest.raises(StateError, match="holds another evaluation") as error:
        Journal(tmp_path, CONFIG, {})
    assert "\n" not in str(error.value)


def test_what_cannot_hold_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StateError, match="cannot hold an evaluation"):
        Journal(tmp_path / "file", CONFIG, {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LINES_FILE).write_text("x")
    with pytest.raises(StateError, match=r"holds networks, and no config\.json; take another folder"):
        Journal(tmp_path / "other", CONFIG, {})


def test_every_setting_decides_but_those_said_to_be_free() -> None:
    assert {"data_root", "image_workers"} == EvaluationConfig.FREE_TO_CHANGE
