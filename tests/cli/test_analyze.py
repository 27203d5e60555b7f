"""`ghn analyze` and its tasks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest

import ghn.cli.analyses
from ghn.cli.analyze import TASKS
from tests.cli.conftest import Run


def test_help_lists_every_task(ghn: Callable[..., Run]) -> None:
    shown = " ".join(ghn("analyze", "--help").out.split())
    for name, (_, summary) in TASKS.items():
        assert name in shown
        assert summary.split()[0] in shown


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_options_with_help(task: str, ghn: Callable[..., Run]) -> None:
    module, _ = TASKS[task]
    result = ghn("analyze", task, "--help")
    assert result.code == 0
    assert f"usage: ghn analyze {task}" in result.out
    explained = "".join(kind.__doc__ or "" for kind in module.Options.__mro__)
    hints = get_type_hints(module.Options, include_extras=True)
    for field in module.Options.__dataclass_fields__.values():
        shared = any(getattr(mark, "help", None) for mark in getattr(hints[field.name], "__metadata__", ()))
        explained_here = re.search(rf"^ +{field.name}: \S", explained, re.MULTILINE)
        assert shared or explained_here, f"{field.name} is not explained"
        if "Positional" not in str(field.type):
            assert f"--{field.name.replace('_', '-')}" in result.out
    assert all(len(line) <= 80 for line in result.out.splitlines()[1:]), "wider than a terminal"


def test_every_file_of_a_task_is_one() -> None:
    folder = Path(ghn.cli.analyses.__file__).parent
    with_options = {path.stem for path in folder.glob("*.py") if "\nclass Options" in path.read_text(encoding="utf-8")}
    assert with_options == set(TASKS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "ghn analyze"),
        (["scorse"], "scorse"),
        (["scores", "--imagse", "3"], "perhaps you meant --images"),
    ],
)
def test_bad_usage_is_told_in_one_line(words: list[str], message: str, refused: Callable[..., str]) -> None:
    line = refused("analyze", *words)
    assert message in line
    assert len(line) < 400


def test_quiet_shows_nothing(ghn: Callable[..., Run], tmp_path: Path) -> None:
    result = ghn("analyze", "statistics", "zoo:net", "--quiet", "-o", "OUT/found.json")
    assert result == Run(code=0, out="", err="")
    assert (tmp_path / "found.json").exists()
