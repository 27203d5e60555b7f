"""What docs/finetuning.md shows runs, and names what there is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ghn.cli import finetune, parse

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "finetuning.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(text: str) -> list[list[str]]:
    """The words of every command that concerns fine-tuning."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words for words in lines if "finetune" in words or "start.safetensors" in words]


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(program, {})
    assert "step 25: " in capsys.readouterr().out


def test_options_exist() -> None:
    known = {"--" + entry.name.replace("_", "-") for entry in fields(finetune.Options)} | {"--nproc-per-node"}
    named = set(re.findall(r"--[a-z][a-z-]+", TEXT))
    assert len(named) > 15
    assert named <= known


@pytest.mark.parametrize("words", [*commands(TEXT), *commands(README)], ids=" ".join)
def test_commands_can_be_read(words: list[str]) -> None:
    place = words.index("finetune") if "finetune" in words else None
    if place is not None:
        assert parse(finetune, "finetune", words[place + 1 :]).data == "digits"


def run(words: list[str], folder: Path, *more: str) -> str:
    programs = {"ghn": ["-m", "ghn"], "torchrun": ["-m", "torch.distributed.run"]}
    command = [sys.executable, *programs[words[0].rpartition("/")[2]], *words[1:], *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_second_command_of_a_newcomer_goes_on_from_the_first(tmp_path: Path) -> None:
    """As README shows, but for the number of steps."""
    for library in ("sklearn", "torchvision"):
        pytest.importorskip(library)
    predict, train = commands(README)
    run(predict, tmp_path)
    out = run(train, tmp_path, "--steps", "1", "--test-images", "50")
    assert "start.safetensors" in out
    assert (tmp_path / "trained.safetensors").exists()


@pytest.mark.slow
def test_all_that_is_shown_runs(tmp_path: Path) -> None:
    for words in [*commands(TEXT), *commands(README)]:
        run(words, tmp_path)
