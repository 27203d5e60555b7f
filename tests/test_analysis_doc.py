"""What docs/analysis.md shows runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ghn.analysis.zero_cost.table import SCORES
from ghn.cli import analyze, main, parse
from ghn.cli.analyses.shared import StartOptions

for library in ("sklearn", "matplotlib", "torchvision", "timm"):
    pytest.importorskip(library)

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "analysis.md").read_text(encoding="utf-8")
BLOCKS = [block.replace("\\\n", "").strip() for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)]
SMALL, PAPER = BLOCKS[:-1], BLOCKS[-1].splitlines()
QUICK = ("filters",)


def check(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs, and writes what it says."""
    words = shlex.split(command)[1:]
    assert main(words) == 0, capsys.readouterr().err
    files = [word for word in words if Path(word).suffix in (".json", ".csv", ".png")]
    shown = capsys.readouterr().out
    assert files
    assert all(Path(file).stat().st_size > 100 and file in shown for file in files)


def is_quick(command: str) -> bool:
    return command.split()[2] in QUICK


@pytest.mark.parametrize("command", [command for command in SMALL if is_quick(command)])
def test_a_command_runs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    check(command, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in SMALL if not is_quick(command)])
def test_a_longer_command_runs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    check(command, capsys)


@pytest.mark.parametrize("command", PAPER)
def test_the_papers_commands_are_understood(command: str) -> None:
    options = parse(analyze, "analyze", shlex.split(command)[2:]).task
    assert options.output
    assert not isinstance(options, StartOptions) or options.folder is not None


def test_each_task_has_a_command() -> None:
    assert {command.split()[2] for command in SMALL} == set(analyze.TASKS)


def test_the_table_has_every_score() -> None:
    rows = re.findall(r"^\| ([\w-]+) \|", TEXT, re.MULTILINE)
    assert {*rows, "parameters", "multiply-adds"} - {"score"} == set(SCORES)


def test_the_programs_run(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(first, {})
    assert capsys.readouterr().out.startswith("{'gradnorm': ")
    exec(second, {})
    shown = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()[:2]) for line in shown] == ["timm:resnet10t default", "timm:resnet10t orthogonal"]


def test_functions_that_are_named_exist() -> None:
    from importlib import import_module

    named = re.findall(r"`(\w+)\.(\w+)`", TEXT[TEXT.index("The others are") : TEXT.index("all of `ghn.analysis`")])
    assert len(named) == 6
    assert all(callable(getattr(import_module(f"ghn.analysis.{module}"), name)) for module, name in named)


def test_pictures_are_there() -> None:
    named = re.findall(r"!\[.*?\]\((.*?)\)", TEXT)
    assert len(named) == 6
    assert all((DOCS / name).is_file() for name in named)
