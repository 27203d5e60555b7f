"""What docs/exploring.md shows runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ghn.cli import main
from tests.analysis.curves.test_logs import line

pytest.importorskip("torchvision")

FOLDER = Path(__file__).parents[1] / "docs"
TEXT = (FOLDER / "exploring.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    (block,) = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    return [shlex.split(text, comments=True)[1:] for text in block.splitlines()]


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[:4]))
def test_the_commands_run(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[-1].endswith(".png"):
        pytest.importorskip("matplotlib")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "log.jsonl").write_text(line(1, loss=2.0))
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0, capsys.readouterr().err
    assert (tmp_path / words[-1]).stat().st_size > 1000


def test_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert "ResNet-18" in (tmp_path / "resnet18.html").read_text()


def test_pictures_and_links_are_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (FOLDER / target).exists(), target
