"""Completion in the shells themselves, where they are installed."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.cli.shell.scripts import SCRIPTS
from ghn.cli.shell.words import all_commands

MODELS = ["resnet18", "resnet50", "timm:resnet50d", "timm:regnety_004", "hf:vit"]

BASH = r"""
source "$1"
COMP_LINE="$2" COMP_POINT=${#2} COMP_WORDBREAKS=$' \t\n"><=;|&(:'
_ghn
printf '%s\n' "${COMPREPLY[@]}"
"""

ZSH = r"""
compdef() { :; }
source "$1"
_files() { print FILES; }
_describe() {
  local list=(${${(P)2}%%:*})
  print -rl -- ${(M)list:#$PREFIX*}
}
compadd() {
  local list=("$@")
  [[ $1 == -a ]] && list=(${(P)2}) || shift list
  print -rl -- ${(M)list:#$PREFIX*}
}
words=(${(z)2}) PREFIX=
[[ $2 == *' ' ]] && words+=("") || PREFIX=$words[-1]
CURRENT=$#words
_ghn
"""

FISH = 'source $argv[1]; complete -C "$argv[2]" | string replace -r "\t.*" ""'

Complete = Callable[[str], list[str]]


@pytest.fixture(params=["bash", "zsh", "fish"])
def complete(request: pytest.FixtureRequest, tmp_path: Path) -> Complete:
    """What a shell offers after a line."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell](all_commands()))
    (tmp_path / "ghn").mkdir()
    (tmp_path / "ghn" / "models.txt").write_text("\n".join(["# versions", *MODELS]) + "\n")
    program = {"bash": [BASH, "bash"], "zsh": [ZSH, "zsh"], "fish": [FISH]}[shell]
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}

    def run(line: str) -> list[str]:
        command = [shell, *options, "-c", *program, str(script), line]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        assert done.stderr == ""
        # Bash puts what follows a colon behind what is there.
        before = line[line.rindex(" ") + 1 :] if shell == "bash" else ""
        before = before[: before.rindex(":") + 1] if ":" in before else ""
        return [before + reply for reply in done.stdout.splitlines() if reply]

    return run


def test_commands(complete: Complete) -> None:
    assert complete("ghn pre") == ["predict"]
    assert {"predict", "train", "models", "completion"} <= set(complete("ghn "))


def test_options(complete: Complete) -> None:
    found = complete("ghn predict --")
    assert {"--output", "--force", "--no-statistics", "--help"} <= set(found)
    assert "--statistics" not in found
    assert complete("ghn predict resnet18 --num") == ["--num-classes"]


def test_values(complete: Complete) -> None:
    assert set(complete("ghn predict resnet18 --head ")) >= {"keep", "predict"}
    assert "ghn3-t-cifar10" in complete("ghn predict resnet18 --ghn ghn3-t")


def test_models(complete: Complete) -> None:
    assert set(complete("ghn predict resnet")) >= {"resnet18", "resnet50"}
    assert set(complete("ghn predict timm:re")) >= {"timm:resnet50d", "timm:regnety_004"}
    assert "hf:vit" in complete("ghn evaluate --models hf:")


def test_names_of_runs_and_shells(complete: Complete) -> None:
    assert "digits-smoke" in complete("ghn train digits")
    assert "fish" in complete("ghn completion fi")


def test_tasks_and_what_follows_them(complete: Complete) -> None:
    assert {"scores", "rank", "diversity"} <= set(complete("ghn analyze "))
    assert complete("ghn analyze sco")[0] == "scores"
    assert set(MODELS) <= set(complete("ghn analyze scores "))
    assert complete("ghn analyze scores --sco") == ["--score"]
    assert "naswot" in complete("ghn analyze scores resnet18 --score nas")
    assert complete("ghn analyze diversity --match") == ["--matched"]


def test_experiments_splits_and_starts(complete: Complete) -> None:
    assert complete("ghn experiment table1")[:2] == ["table1", "table10"]
    assert "paper" in complete("ghn experiment table3 --scale pa")
    assert "predefined" in complete("ghn deepnets pre")
    assert "orthogonal" in complete("ghn compare resnet18 --init ortho")
