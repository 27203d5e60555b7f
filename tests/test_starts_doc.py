"""What docs/starts.md shows runs, and names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from ghn.initializers import NAMES

TEXT = (Path(__file__).parents[1] / "docs" / "starts.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, object] = {}
    exec(program, names)
    assert "model" in names


def test_every_name_is_explained() -> None:
    named = set(re.findall(r"^\| `([\w-]+)", TEXT, re.MULTILINE))
    assert named == set(NAMES)
