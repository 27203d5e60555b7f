"""What may import what, and what importing costs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
MOST_FILES = 14
"""Of a folder: more and nobody sees which file does what."""

LIBRARIES = {"scikit-learn": "sklearn"}
"""What is imported under another name than it is installed by."""


def installed_as(requirement: str) -> str:
    """The module of a requirement such as `timm>=1.0`."""
    name = requirement.partition(">")[0]
    return LIBRARIES.get(name, name)


EXTRAS = {extra: needed for extra, needed in PROJECT["optional-dependencies"].items() if extra != "dev"}
OPTIONAL = {installed_as(name) for needed in EXTRAS.values() for name in needed if not name.startswith("ghn[")}
REQUIRED = {installed_as(name) for name in PROJECT["dependencies"]}


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """A process, with its output as text."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def python(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """This interpreter in a process of its own."""
    return run([sys.executable, *words], **options)


# Contracts


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package and of the contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "ghn", tmp_path / "ghn", ignore=shutil.ignore_patterns("__pycache__", "pretrained"))
    return tmp_path


def lint(folder: Path) -> tuple[int, str]:
    """Exit code and report of `lint-imports` for the package in a folder."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    result = run(command, cwd=folder, env=environment)
    # Some versions colour what goes into a pipe, too.
    return result.returncode, re.sub(r"\x1b\[[\d;]*m", "", result.stdout + result.stderr)


def test_the_package_keeps_the_contracts(copy: Path) -> None:
    code, report = lint(copy)
    assert code == 0, report


@pytest.mark.parametrize(
    ("file", "statement", "contract"),
    [
        ("training/__init__.py", "import ghn.meta", "rooms"),
        ("training/__init__.py", "def late():\n    from ghn.cli import main", "rooms"),
        ("graph/__init__.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ghn.hypernet", "rooms"),
        ("zoo/__init__.py", "import ghn.model", "rooms"),
        ("common/__init__.py", "import ghn.training", "rooms"),
        ("finetuning/__init__.py", "import ghn.meta", "rooms"),
        ("new_room/__init__.py", "", "rooms"),
        ("graph/record/__init__.py", "import ghn.graph.read", "graph"),
        ("graph/record/__init__.py", "import ghn.graph.computational_graph", "graph"),
        ("graph/run/__init__.py", "import ghn.graph.read", "graph"),
        ("data/load.py", "import ghn.data.planted", "no circles"),
    ],
)
def test_a_planted_import_breaks_a_contract(file: str, statement: str, contract: str, copy: Path) -> None:
    (copy / "ghn" / "data" / "planted.py").write_text("import ghn.data.load\n")
    path = copy / "ghn" / file
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as opened:
        opened.write(f"\n{statement}\n")
    code, report = lint(copy)
    assert code != 0
    if "new_room" not in file:
        assert [line for line in report.splitlines() if line.startswith(contract) and "BROKEN" in line], report
    else:
        assert "new_room" in report


def doors_imported_from_behind() -> list[str]:
    """Files that import a package they are part of: circles that `lint-imports` does not see."""
    graph = grimp.build_graph("ghn", cache_dir=None)
    found = [(file, door) for file in graph.modules for door in graph.find_modules_directly_imported_by(file)]
    return [f"{file} imports {door}" for file, door in found if file.startswith(f"{door}.")]


def test_no_file_imports_a_package_that_holds_it() -> None:
    assert doors_imported_from_behind() == []


def test_an_import_of_a_package_that_holds_the_file_is_found(copy: Path) -> None:
    with open(copy / "ghn" / "data" / "load.py", "a", encoding="utf-8") as opened:
        opened.write("\ndef late():\n    from ghn import GHN\n    from ghn.data import ImageSet\n")
    program = "from tests.test_imports import doors_imported_from_behind as find; print(sorted(find()))"
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{ROOT}"}
    result = python("-c", program, env=environment, cwd=copy)
    assert result.stdout.strip() == "['ghn.data.load imports ghn', 'ghn.data.load imports ghn.data']", result.stderr


def test_no_folder_holds_too_many_files() -> None:
    folders = [folder for folder in [ROOT / "ghn", *(ROOT / "ghn").rglob("*")] if folder.is_dir()]
    counts = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def floors(drawing: str) -> list[list[str]]:
    """The rooms of each floor, from top to bottom; rooms of one floor sorted."""
    rows = [line[1 : line.rindex("│")] for line in drawing.splitlines() if line.startswith("│")]
    return [sorted(name.strip() for name in row.split("│")) for row in rows]


@pytest.mark.parametrize("container", ["ghn", "ghn.graph"])
def test_contributing_draws_the_contracts(container: str) -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == [container]]
    blocks = re.findall(r"```\n(┌.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    drawn = {"ghn": blocks[0], "ghn.graph": blocks[1]}[container]
    assert floors(drawn) == [sorted(name.strip() for name in layer.split("|")) for layer in layers]


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {Path(name) for name in re.findall(r"`((?:\w+/)+\w+(?:\.py)?)`", text) if "/a/" not in name}
    assert len(named) > 15
    places = {name: [ROOT / name, ROOT / "ghn" / name] for name in named}
    missing = {
        name for name, paths in places.items() if not any(p.exists() or p.with_suffix(".py").exists() for p in paths)
    }
    assert missing == set()


# Cost


def imported(program: str) -> set[str]:
    """Libraries that a fresh process has imported after the program."""
    result = python("-c", f"{program}\nimport sys; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    return {name.partition(".")[0] for name in result.stdout.splitlines()[-1].split()}


def test_the_lists_of_libraries_are_not_empty() -> None:
    assert {"torchvision", "timm", "transformers", "matplotlib", "h5py", "tensorboard", "sklearn"} <= OPTIONAL
    assert {"torch", "scipy", "tyro", "rich"} <= REQUIRED


def test_importing_the_package_imports_no_other() -> None:
    assert not imported("import ghn, ghn.cli, ghn.zoo") & (OPTIONAL | REQUIRED)


def test_all_modules_together_import_no_optional_library_and_hide_no_function() -> None:
    program = "import importlib, pkgutil, ghn\n"
    program += "for found in pkgutil.walk_packages(ghn.__path__, 'ghn.'):\n"
    program += "    found.name == 'ghn.__main__' or importlib.import_module(found.name)\n"
    # A module takes the place of what its package has of the same name.
    program += "modules = [name for name in ghn.__all__ if type(getattr(ghn, name)).__name__ == 'module']\n"
    program += "assert modules == ['analysis', 'deepnets', 'initializers'], modules\n"
    program += "assert type(ghn.finetune).__name__ == 'function'"
    modules = imported(program)
    assert not modules & OPTIONAL
    assert modules > REQUIRED


def test_what_does_no_work_imports_no_more_than_the_package() -> None:
    modules = imported(
        "from ghn.cli import main\nassert [main(words) for words in ([], ['--help'], ['nothing'])] == [0, 0, 2]"
    )
    assert not modules & (OPTIONAL | REQUIRED)


def test_help_of_a_command_needs_its_parser_only() -> None:
    modules = imported("from ghn.cli import main; assert main(['predict', '--help']) == 0")
    assert modules & (OPTIONAL | REQUIRED) == {"tyro"}
