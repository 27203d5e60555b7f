"""Each module has its tests where one looks for them: `ghn/a/b.py` in `tests/a/test_b.py`."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WITHOUT = {
    "__main__.py": "two lines; tests/cli/test_main.py starts it as a process",
    "data/errors.py": "an error class only",
    "deepnets/operations/record.py": "what operations have in common; test_table.py tests every one of them",
}
"""Modules without a test file, and why."""


def place_of_tests(module: Path) -> Path:
    """Where the tests of a module are."""
    return ROOT / "tests" / module.parent / f"test_{module.name}"


def modules() -> list[Path]:
    package = ROOT / "ghn"
    return [path.relative_to(package) for path in sorted(package.rglob("*.py")) if path.name != "__init__.py"]


def test_each_module_has_its_tests() -> None:
    assert {"model.py", "zoo/build.py", "zoo/sources/timm.py"} <= {str(path) for path in modules()}
    places = [place_of_tests(module) for module in modules() if str(module) not in WITHOUT]
    missing = [str(tests.relative_to(ROOT)) for tests in places if not tests.exists()]
    assert not missing, "modules without tests; write these"
    assert [str(tests) for tests in places if "def test_" not in tests.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("module", WITHOUT)
def test_the_exceptions_are_still_needed(module: str) -> None:
    assert (ROOT / "ghn" / module).exists(), f"ghn/{module} is gone: take it off the list"
    assert not place_of_tests(Path(module)).exists(), f"ghn/{module} has tests now: take it off the list"
