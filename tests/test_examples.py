"""Every program in examples/ runs where its library is installed, and what it trains learns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.photographs import photographs

FOLDER = Path(__file__).parents[1] / "examples"
LIBRARIES = {
    "timm_training": ("timm",),
    "torchvision_training": ("torchvision",),
    "transformers_trainer": ("transformers", "accelerate"),
    "lightning_module": ("lightning",),
}

NOTEBOOKS = sorted((FOLDER / "notebooks").glob("*.ipynb"))

PROGRAM = """
import sys
from examples import {name}

before, after = {name}.main(images=160, epochs={epochs})
print(before, after, file=sys.stderr)
"""


def test_every_example_is_tested_and_named() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == {*LIBRARIES, "architecture_search", "own_architecture"}
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{file.name}`" in text for file in FOLDER.glob("*.py"))
    assert all(f"(notebooks/{file.name})" in text for file in NOTEBOOKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
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


def test_an_own_architecture_is_compared_on_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for library in ("PIL", "torchvision", "matplotlib"):
        pytest.importorskip(library)
    from examples import own_architecture

    photographs(tmp_path / "photos")
    found = own_architecture.main(tmp_path / "photos", tmp_path / "curves.svg", steps=2, seeds=1)
    assert [row.init for row in found.rows()] == ["default+calibrate", "ghn:ghn3-t-cifar10-wide+calibrate"]
    assert all(row.steps == (0, 1, 2) and not row.errors for row in found.rows())
    assert "default+calibrate: accuracy in % at step 0" in capsys.readouterr().out
    assert (tmp_path / "curves.svg").stat().st_size > 1000


# Notebooks


def run_of(notebook: Path, folder: Path) -> Any:
    """The notebook, executed anew in a folder."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(notebook, as_version=4)
    client = NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    return book


def texts(book: Any) -> list[str]:
    """What its cells print or give, as text."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            found.append(output.get("text") or data.get("text/plain", ""))
    return found


def test_there_are_three_notebooks() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_what_one_run_of_it_printed(notebook: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.read(notebook, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert len([text for text in texts(book) if text.strip()]) >= 3
    assert notebook.stat().st_size < 300_000
    assert not re.search(r"/(?:root|home|tmp|work)/", notebook.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_gives_what_it_holds(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("nbclient", "ipykernel", "sklearn", "torchvision", "matplotlib"):
        pytest.importorskip(library)
    import nbformat

    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # of what libraries miss in notebooks
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), *sys.path]))
    held, found = texts(nbformat.read(notebook, as_version=4)), texts(run_of(notebook, tmp_path))
    assert len(found) == len(held)

    def words(text: str) -> list[str]:
        return re.findall(r"[a-z]{3,}", re.sub(r"within noise|ahead|behind", "", text))

    # Numbers and verdicts move with the version of PyTorch; what they are of does not.
    assert [words(text) for text in found] == [words(text) for text in held]
