"""What docs/starts.md shows runs, and names what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import ghn
from ghn.cli import main
from ghn.initializers import NAMES
from tests.documents import blocks, text

TEXT = text("docs/starts.md")


def test_the_example_runs() -> None:
    pytest.importorskip("torchvision")
    names: dict[str, object] = {}
    for program in blocks("docs/starts.md", "python"):
        exec(program.code, names)
    assert {"model", "network"} <= set(names)


def test_what_is_said_of_statistics_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision")
    (program,) = re.findall(r"```python\n(import torchvision.*?)```", TEXT, re.DOTALL)
    (said,) = re.findall(r"print\(report.statistics\)  # (.*)", program)
    exec(program, {"ghn": ghn})
    assert capsys.readouterr().out.strip() == said


@pytest.mark.slow
def test_the_command_that_evaluates_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("timm")
    (words,) = re.findall(r"^ghn (evaluate .*)$", TEXT, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main([*words.split(), "--images", "16", "--calibration-images", "32"]) == 0
    assert len((tmp_path / "runs/starts/networks.jsonl").read_text().splitlines()) == 6


def test_every_name_is_explained() -> None:
    named = set(re.findall(r"^\| `([\w-]+)", TEXT.partition("## ")[0], re.MULTILINE))
    assert named == set(NAMES)
