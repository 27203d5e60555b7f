"""The least versions that are installed to test with: a line for every dependency that `pyproject.toml` names."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def least() -> ModuleType:
    """The program, imported."""
    spec = importlib.util.spec_from_file_location("least", ROOT / ".ci" / "least.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_prints_every_dependency_once() -> None:
    done = subprocess.run([sys.executable, ROOT / ".ci" / "least.py"], capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    bounds = {line.replace("==", ">=") for line in done.stdout.splitlines()}
    assert len(bounds) == len(done.stdout.splitlines())
    named = {each for group in groups for each in group if not each.startswith("ghn[")}
    assert bounds == {re.sub(r"\[.*\]", "", each) for each in named}


def test_extras_of_other_projects_are_left_out(least: ModuleType) -> None:
    assert least.least_versions(["a>=1.2", "b[x, y] >= 0.4.5", "me[extra,more]", "a>=1.2"], "me") == {
        "a": "1.2",
        "b": "0.4.5",
    }


@pytest.mark.parametrize(
    ("requirements", "message"),
    [
        (["torch"], "'torch' is no name with one lower bound"),
        (["torch>=2.6,<3"], "'torch>=2.6,<3' is no name with one lower bound"),
        (["other[extra]"], "is no name with one lower bound"),
        (["a>=1", "a>=2"], "a has two lower bounds: 1 and 2"),
    ],
)
def test_what_has_no_least_version_is_refused(least: ModuleType, requirements: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        least.least_versions(requirements, "me")
