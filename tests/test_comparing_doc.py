"""What docs/comparing.md shows runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ghn.cli import compare, main, parse
from ghn.cli.compare import configured

pytest.importorskip("sklearn")

TEXT = (Path(__file__).parents[1] / "docs" / "comparing.md").read_text(encoding="utf-8")


def test_the_commands_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    listing, comparing = commands.replace("\\\n", "").splitlines()
    assert main(shlex.split(listing)[1:]) == 0
    config = configured(parse(compare, "compare", shlex.split(comparing)[2:]))
    assert len(config.inits) == 4
    assert config.training.steps == 40


def test_the_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(program, {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["default", "ghn+calibrate"]
