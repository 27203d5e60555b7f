"""What docs/finetuning.md shows trains, and names what there is."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from ghn.cli import finetune
from tests.documents import blocks, text


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    (program,) = blocks("docs/finetuning.md", "python")
    exec(program.code, {})
    assert "step 25: " in capsys.readouterr().out


def test_options_exist() -> None:
    known = {"--" + entry.name.replace("_", "-") for entry in fields(finetune.Options)} | {"--nproc-per-node"}
    named = set(re.findall(r"--[a-z][a-z-]+", text("docs/finetuning.md")))
    assert len(named) > 15
    assert named <= known
