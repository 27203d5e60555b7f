"""No part of `ghn.graph` imports another that imports it, at whatever time."""

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ghn.graph

ROOT = Path(ghn.graph.__file__).parent.parent.parent
FILES = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in ROOT.glob("ghn/graph/**/*.py")}


def imported(text: str) -> set[str]:
    """Modules that a file imports anywhere: at the top, for type checkers alone, inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            found |= {f"{node.module}.{name.name}" for name in node.names} | {str(node.module)}
    return found & set(FILES)


def order(texts: dict[str, str]) -> list[str]:
    """Modules, each after those it imports."""
    return list(TopologicalSorter({name: imported(text) - {name} for name, text in texts.items()}).static_order())


def test_there_is_an_order() -> None:
    modules = order({name: file.read_text() for name, file in FILES.items()})
    assert len(modules) == len(FILES) > 25
    reading = [name.rpartition(".")[2] for name in modules if name.startswith("ghn.graph.read.")]
    layers = ["flow", "weights", "builder", "rules", "handlers", "reader", "simplify"]
    assert [name for name in reading if name in layers] == layers


@pytest.mark.parametrize(
    "added",
    [
        "import ghn.graph.read.rules",
        "def f():\n    from ghn.graph.read.rules import layer",
        "if TYPE_CHECKING:\n    from ghn.graph.read import rules",
    ],
)
def test_a_circle_is_found(added: str) -> None:
    texts = {name: file.read_text() for name, file in FILES.items()}
    texts["ghn.graph.read.flow"] += added + "\n"
    with pytest.raises(CycleError):
        order(texts)


def test_files_are_short() -> None:
    folders = Counter(name.rpartition(".")[0] for name in FILES)
    assert max(folders.values()) <= 14, folders
    lengths = {name: len(file.read_text().splitlines()) for name, file in FILES.items()}
    assert max(lengths.values()) <= 400, lengths


def test_reading_needs_no_ways_to_run() -> None:
    for name, file in FILES.items():
        if name.startswith(("ghn.graph.read", "ghn.graph.record")):
            above = {
                other for other in imported(file.read_text()) if other.startswith(("ghn.graph.run", "ghn.graph.trace"))
            }
            assert not above, name


@pytest.mark.parametrize("room", ["graph", "draw"])
def test_each_module_has_tests_of_its_own(room: str) -> None:
    modules = [file for file in (ROOT / "ghn" / room).glob("**/*.py") if file.name != "__init__.py"]
    missing = []
    for file in modules:
        folder = ROOT / "tests" / file.relative_to(ROOT / "ghn").parent
        if not (folder / f"test_{file.name}").exists():
            missing.append(str(file.relative_to(ROOT)))
    assert not missing
