"""Damaged files of every kind are read or refused by the rule; a planted fault of each sort is found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.common.errors import OneLineError
from tests.fuzzing.judge import fault
from tests.fuzzing.kinds import KINDS
from tests.fuzzing.run import faults

ROOT = Path(__file__).parents[2]

ALL = 20_000
"""Inputs of the slow test."""

SOME = 40
"""Inputs of each kind in the ordinary one."""


@pytest.mark.parametrize("kind", KINDS)
def test_some_damaged_files(kind: str, tmp_path: Path) -> None:
    assert list(faults(kind, SOME, 0, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(kind: str) -> None:
    """In a process of its own: memory that is corrupted ends it."""
    command = [sys.executable, "-m", "tests.fuzzing.run", kind, str(ALL // len(KINDS)), "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == []


def _breaks(error: Exception) -> Callable[[], Any]:
    def read() -> None:
        raise error

    return read


class UncleanError(OneLineError):
    """An error that says what it was given."""

    def __str__(self) -> str:
        return "two\nlines"


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (_breaks(OneLineError("fine")), ""),
        (lambda: 7, ""),
        (_breaks(KeyError("a")), "KeyError"),
        (_breaks(ValueError("not ours")), "ValueError"),
        (_breaks(UncleanError()), "no clean line"),
        (lambda: bytearray(200 << 20).find(b"x"), "took 200 MB|took 199 MB|took 201 MB"),
    ],
)
def test_the_rule_notices_what_breaks_it(read: Callable[[], Any], found: str) -> None:
    assert re.match(found or "$", fault(read, 1000))


def test_the_rule_notices_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzzing.judge.SECONDS", 0.01)
    end = time.process_time() + 0.05

    def read() -> None:
        while time.process_time() < end:
            pass

    assert fault(read, 1000).startswith("took")
