"""What is released: one version, one address, files that are whole.

`$GHN_DIST` names a folder with sdist and wheel; where it is not set, the tests that need them make them, with the slow
ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import ghn
from tests.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = "https://github.com/ghn-developers/ghn"
built = [pytest.mark.slow] if "GHN_DIST" not in os.environ else []


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_in_one_place() -> None:
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    assert f'__version__ = "{ghn.__version__}"' in read("ghn/__init__.py")
    assert re.fullmatch(r"\d+\.\d+\.\d+", ghn.__version__)


def test_what_names_the_version_names_this_one() -> None:
    (cited,) = re.findall(r"^version: (.*)$", read("CITATION.cff"), re.MULTILINE)
    assert cited == ghn.__version__


def test_the_changelog_begins_with_what_is_not_released() -> None:
    titles = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", title) for title in titles[1:])
    if titles[1:]:
        assert titles[1].startswith(ghn.__version__)


def test_one_address_is_named_everywhere() -> None:
    files = ["pyproject.toml", "mkdocs.yml", "CITATION.cff", "SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml"]
    for file in files:
        named = set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", read(file)))
        assert named == {ADDRESS}, file
    assert set(PROJECT["urls"]) == {"Documentation", "Source", "Issues", "Changelog"}


def test_workflows_do_what_anyone_can_do_here() -> None:
    workflows = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert len(workflows) == 3
    for workflow in workflows:
        commands = re.findall(r"- run: (\S+)", workflow.read_text(encoding="utf-8"))
        assert ".ci/run" in commands
        for command in commands:
            assert os.access(ROOT / command, os.X_OK), f"{workflow.name}: {command}"


def test_templates_are_forms_with_required_answers() -> None:
    yaml = pytest.importorskip("yaml")
    for file in (ROOT / ".github").rglob("*.yml"):
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        if file.parent.name == "ISSUE_TEMPLATE" and file.name != "config.yml":
            assert {"name", "description", "body"} <= set(found)
            assert any(part.get("validations", {}).get("required") for part in found["body"])
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "version", "references"} <= set(citation)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist and wheel."""
    if "GHN_DIST" in os.environ:
        return Path(os.environ["GHN_DIST"])
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class TestBuilt:
    pytestmark = built

    def test_the_sdist_holds_every_file_of_the_repository(self, dist: Path) -> None:
        done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip("no checkout: what belongs to it is not known")
        (file,) = dist.glob("*.tar.gz")
        with tarfile.open(file) as archive:
            held = {name.partition("/")[2] for name in archive.getnames()}
        assert {"tests/documents.py", "docs/hooks.py", "PKG-INFO"} <= held
        assert [name for name in done.stdout.splitlines() if name not in held] == []

    def test_the_sdist_holds_nothing_that_was_made(self, dist: Path) -> None:
        (file,) = dist.glob("*.tar.gz")
        with tarfile.open(file) as archive:
            names = archive.getnames()
        assert [name for name in names if re.search(r"__pycache__|\.pyc$|/build/|/runs/|_cache/", name)] == []

    def test_the_wheel_holds_the_package_and_its_hypernetworks_only(self, dist: Path) -> None:
        (file,) = dist.glob("*.whl")
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ghn").rglob("*") if path.is_file()}
        own = {name for name in own if "__pycache__" not in name}
        assert names - {name for name in names if ".dist-info/" in name} == own
        assert "ghn/py.typed" in own
        assert f"\nVersion: {ghn.__version__}\n" in metadata
        assert file.stat().st_size < 60e6
