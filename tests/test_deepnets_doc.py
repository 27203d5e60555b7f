"""What docs/deepnets.md shows runs, and names what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ghn.deepnets import SPLITS

TEXT = (Path(__file__).parents[1] / "docs" / "deepnets.md").read_text()


def test_every_split_is_named() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", TEXT, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([a-z]+)`", row)} == {*SPLITS, "predefined"}


def test_all_that_is_shown_runs_in_its_order(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", TEXT, re.DOTALL)
    # One program, as names of one block are used in the next.
    program = "\n".join(code for language, code in blocks if language == "python")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in "".join(code for language, code in blocks if language == "bash").splitlines():
        name, *words = shlex.split(line, comments=True)
        assert name == "ghn"
        command = [sys.executable, "-m", "ghn", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert (tmp_path / "test-7.svg").exists()
