"""What docs/experiments.md shows runs, and names what there is."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from ghn.cli import experiment, main, parse
from ghn.experiments.catalogue import experiment_named
from ghn.experiments.listing import EXPERIMENTS
from ghn.experiments.scales import SCALES

TEXT = (Path(__file__).parents[1] / "docs" / "experiments.md").read_text(encoding="utf-8")


def commands(language: str) -> list[list[str]]:
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.chdir(tmp_path)
    for words in commands("bash"):
        # A second process would load all libraries once more.
        words = [word for word in words if word not in ("--workers", "2")]
        assert main(words[1:]) == 0, words
    assert "# table3" in (tmp_path / "table3.md").read_text()
    assert "222" in capsys.readouterr().out


def test_commands_for_clusters_are_understood() -> None:
    for words in commands("text"):
        options = parse(experiment, "experiment", words[2:])
        assert options.ray
        experiment_named(options.name)


def test_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(program, {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["deep", "wide"]


def test_everything_there_is_is_named() -> None:
    named = set(re.findall(r"`((?:table|figure)\d+)`", TEXT))
    assert named == set(EXPERIMENTS)
    assert set(re.findall(r"^\| `(small|paper)` \|", TEXT, re.MULTILINE)) == set(SCALES)
    flags = set(re.findall(r"--[a-z][a-z-]*", TEXT))
    assert flags <= {"--" + field.name.replace("_", "-") for field in fields(experiment.Options)}
