"""Graphs in files: the suffix chooses, and nothing is left where it fails."""

from pathlib import Path

import pytest

from ghn.draw.save import WRITERS, save
from tests.draw.graphs import awkward_graph


@pytest.mark.parametrize("suffix", [*WRITERS, ".SVG"])
def test_the_suffix_chooses(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"graph{suffix}"
    path.write_text("old")
    save(awkward_graph(), str(path))
    assert path.read_text(encoding="utf-8") == WRITERS[suffix.lower()](awkward_graph())
    assert list(tmp_path.iterdir()) == [path], "nothing else is left"


@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", "<svg"), (".json", "{"), (".dot", "digraph"), (".gv", "digraph")]
)
def test_each_suffix_means_its_format(suffix: str, start: str) -> None:
    assert WRITERS[suffix](awkward_graph()).startswith(start)


@pytest.mark.parametrize("name", ["graph.png", "graph"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"use \.svg, \.json or \.dot"):
        save(awkward_graph(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_old_file_stays_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError("no space")

    path = tmp_path / "graph.svg"
    path.write_text("old")
    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="no space"):
        save(awkward_graph(), path)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("graph.svg", "old")]


def test_nothing_is_left_where_it_fails(tmp_path: Path) -> None:
    (tmp_path / "graph.svg").mkdir()
    with pytest.raises(OSError, match="directory"):
        save(awkward_graph(), tmp_path / "graph.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["graph.svg"]
