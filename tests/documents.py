"""Pages of the documentation as programs: what they show is run, in its order, as a reader would.

A comment before a block, `<!-- runs: no, REASON -->`, exempts it. Commands that install or that start services of the
machine are never run (`UNTOUCHED`).
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ghn.cli import COMMANDS, main, parse

ROOT = Path(__file__).parents[1]
UNTOUCHED = ("pip", "python3", "nvidia-cuda-mps-control", ".", "source")
PROGRAMS = {"torchrun": ["-m", "torch.distributed.run"], "python": []}
FENCE = re.compile(r"^(<!-- runs: no,[^>]*-->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        language: bash, python, or another one that is not run.
        code: Its lines.
        line: Of the page where the code begins, from 1 on.
        runs: Whether the page does not exempt it.
    """

    language: str
    code: str
    line: int
    runs: bool


def pages() -> list[str]:
    """Every page, by its path from the root."""
    found = ["README.md", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
    return sorted(found)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """Blocks of code, in order; those of some languages, or all."""
    whole = text(page)
    found = [
        Block(match[2], match[3], whole.count("\n", 0, match.start(3)) + 1, match[1] is None)
        for match in FENCE.finditer(whole)
    ]
    return [block for block in found if not languages or block.language in languages]


def lines(block: Block) -> list[list[str]]:
    """The words of each command of a block of bash; comments and broken lines are understood."""
    joined = block.code.replace("\\\n", " ").splitlines()
    return [words for line in joined if (words := shlex.split(line, comments=True))]


def commands(page: str) -> list[list[str]]:
    """The words of every command of a page, also of those that are not run."""
    return [words for block in blocks(page, "bash") for words in lines(block)]


def options_of(words: list[str]) -> Any:
    """The options of `ghn COMMAND ...`, read as the command reads them; None where only help is asked for.

    Raises:
        ValueError: If they cannot be read.
    """
    command, *rest = words
    assert command in COMMANDS, f"there is no command {command}"
    try:
        return parse(importlib.import_module(f"ghn.cli.{command}"), command, rest)
    except SystemExit:
        return None


def runnable(page: str) -> list[Block]:
    """Blocks that something is run of."""
    found = [block for block in blocks(page, "bash", "python") if block.runs]
    return [
        block
        for block in found
        if block.language == "python" or any(words[0] not in UNTOUCHED for words in lines(block))
    ]


def run_page(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run all that a page shows in a folder: one program of all its Python, its commands in between.

    Returns:
        The names that its Python has defined.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    before = set(sys.modules)
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        for block in runnable(page):
            place = f"{page}:{block.line}"
            if block.language == "python":
                exec(compile("\n" * (block.line - 1) + block.code, page, "exec"), names)
                continue
            for words in lines(block):
                run_command(words, folder, place)
    finally:
        # Modules that the page wrote: the next page writes others of the same name.
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(folder):
                del sys.modules[name]
    return names


def run_command(words: list[str], folder: Path, place: str) -> None:
    """Run one command; those of `ghn` in this process, which saves the import of PyTorch."""
    program, *rest = words
    if program in UNTOUCHED:
        return
    if program == "ghn":
        assert main(rest) == 0, f"{place}: {shlex.join(words)} fails"
        return
    assert program in PROGRAMS, f"{place}: nobody knows how to run {program}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, *PROGRAMS[program], *rest]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{place}: {shlex.join(words)}: {done.stderr}"
