"""What the README shows is so: its programs, its commands followed to the letter."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.documents import ROOT, blocks, commands, run_command, text
from tests.photographs import CLASSES, photographs

README = text("README.md")


def programs() -> list[str]:
    return [block.code for block in blocks("README.md", "python")]


def test_python_example(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [code for code in programs() if "import ghn" in code]
    exec(compile(code, "README.md", "exec"), {})
    output = capsys.readouterr().out
    assert "predicted   6 of 6 parameters, 100.00 %" in output
    assert "['input', 'conv', 'bias', 'bn', 'glob_avg', 'conv', 'bias']" in output


def test_ci_runs_the_test_command() -> None:
    assert re.search(r"pytest -n 2", README)
    assert re.search(r"^pytest -n 2", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


# From an empty folder to a network trained on one's own images


def own_commands() -> list[list[str]]:
    """What a newcomer gives after the installation, in order."""
    return [words for words in commands("README.md") if words[0] == "ghn" and "mynet.py:make" in words]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a newcomer has: photographs, and README's `mynet.py`."""
    for library in ("sklearn", "torchvision", "matplotlib"):
        pytest.importorskip(library)
    photographs(tmp_path / "photos")
    (code,) = [code for code in programs() if "def make" in code]
    (tmp_path / "mynet.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(folder: Path, shortened: dict[str, str]) -> None:
    """Give README's commands, with some words replaced, and look at what they leave."""
    import torch
    from safetensors.torch import load_file

    given = own_commands()
    assert len(given) <= 3
    for words in given:
        words = list(words)
        for option, value in shortened.items():
            if option in words:
                words[words.index(option) + 1] = value
        run_command(words, folder, "README.md")
    names: dict[str, Any] = {}
    exec((folder / "mynet.py").read_text(), names)
    model = names["make"](len(CLASSES))
    own = torch.cat([weight.detach().reshape(-1).clone() for weight in model.parameters()])
    model.load_state_dict(load_file(folder / "mynet.safetensors"))
    assert not torch.equal(own, torch.cat([weight.detach().reshape(-1) for weight in model.parameters()]))
    curves = (folder / "curves.svg").read_text()
    # A line and a band for each start; matplotlib writes texts as shapes and what they say as comments.
    for start in ("default+calibrate", "ghn+calibrate"):
        assert f"<!-- {start} -->" in curves


def test_own_images_and_architecture_in_three_commands_but_fewer_steps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(folder, {"--steps": "2", "--seeds": "1"})


@pytest.mark.slow
def test_own_images_and_architecture_in_three_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follow(folder, {})
    trained = json.loads((folder / "mynet.finetune.json").read_text())
    found = trained["result"]["accuracy"] if "result" in trained else trained["accuracy"]
    # Of three classes; what was drawn is easily told apart.
    assert found > 0.7


def test_readme_gives_no_more_than_three_commands_after_the_installation() -> None:
    assert 1 <= len(own_commands()) <= 3
    assert any("compare" in words for words in own_commands())
    assert all("photos" in words for words in own_commands())


# Installation


def test_the_extras_are_those_that_there_are() -> None:
    import tomllib

    named = {
        name for row in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ", README, re.MULTILINE) for name in row.split(", ")
    }
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {f"`{name}`" for name in extras} <= named


def test_what_is_installed_can_be_read() -> None:
    (install,) = [block for block in blocks("README.md", "bash") if "--index-url" in block.code]
    for line in install.code.splitlines():
        assert shlex.split(line, comments=True)
