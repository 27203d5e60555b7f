"""Every program in examples/ runs where its library is installed, and what it trains learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
LIBRARIES = {
    "timm_training": ("timm",),
    "torchvision_training": ("torchvision",),
    "transformers_trainer": ("transformers", "accelerate"),
    "lightning_module": ("lightning",),
}

PROGRAM = """
import sys
from examples import {name}

before, after = {name}.main(images=160, epochs={epochs})
print(before, after, file=sys.stderr)
"""


def test_every_example_is_tested_and_named() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == {*LIBRARIES, "architecture_search"}
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{file.name}`" in text for file in FOLDER.glob("*.py"))


@pytest.mark.parametrize(
    "name",
    [name if name == "torchvision_training" else pytest.param(name, marks=pytest.mark.slow) for name in LIBRARIES],
)
def test_it_runs_and_learns(name: str) -> None:
    for library in ("sklearn", *LIBRARIES[name]):
        pytest.importorskip(library)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), *sys.path])
    command = [sys.executable, "-c", PROGRAM.format(name=name, epochs=4)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of test images right at the start" in done.stdout
    before, after = map(float, done.stderr.split()[-2:])
    assert after > max(before, 0.2), (before, after)


def test_architectures_are_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    from examples import architecture_search

    found = architecture_search.main(candidates=6, most_parameters=3e6, shown=2)
    assert 2 < len(found) <= 6
    accuracies = [candidate.accuracy for candidate in found]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(set(accuracies)) > 1
    assert accuracies[0] > 0.2
    assert all(candidate.parameters <= 3e6 for candidate in found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{len(found)} architectures ranked in ")
    assert len(lines) == 3
