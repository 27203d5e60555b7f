"""A small hypernetwork, models to name on the command line, and a way to run it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ghn.cli import main


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def ghn(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    """Runs `ghn` in the user's folder; TINY stands for its hypernetwork, OUT for an empty folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: str) -> Run:
        replaced = [word.replace("TINY", str(folder / "tiny")).replace("OUT", str(tmp_path)) for word in words]
        code = main(replaced)
        captured = capsys.readouterr()
        return Run(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def refused(ghn: Callable[..., Run], tmp_path: Path) -> Callable[..., str]:
    """Runs `ghn`, which must refuse with one line and write nothing; gives the line without "error: "."""

    def run(*words: str, code: int = 2) -> str:
        result = ghn(*words)
        assert result.code == code
        assert result.out == ""
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1, result.err
        assert not list(tmp_path.iterdir()), "something was written"
        return result.err.removeprefix("error: ").strip()

    return run
