"""What every task of `ghn analyze` writes and prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run


def written(ghn: Callable[..., Run], words: Sequence[str], folder: Path) -> tuple[dict[str, Any], Run]:
    """Run a task with a file of each kind; what its JSON holds, and what it printed."""
    files = [folder / name for name in ("x.json", "x.csv", "x.png")]
    result = ghn(*words, "-o", *map(str, files))
    assert result.code == 0, result.err
    assert all(str(file) in result.out for file in files)
    found: dict[str, Any] = json.loads(files[0].read_text())
    assert (found["command"], found["task"]) == ("analyze", words[1])
    assert "torch" in found["versions"]
    assert len(files[1].read_text().splitlines()) > 1
    return found, result


def check_json_alone(ghn: Callable[..., Run], words: Sequence[str]) -> None:
    """With `--json`, JSON is all that a task prints."""
    result = ghn(*words, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["task"] == words[1]
