"""Graphs in files: the suffix chooses, and nothing is left where it fails."""

from pathlib import Path

import pytest

from ghn.draw.save import PICTURES, WRITERS, save
from ghn.graph.files import from_json
from tests.draw.graphs import awkward_graph
from tests.draw.test_folding import graph_of


@pytest.mark.parametrize("suffix", [*WRITERS, ".SVG"])
def test_the_suffix_chooses(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"graph{suffix}"
    path.write_text("old")
    save(awkward_graph(), str(path))
    content = path.read_bytes()
    if suffix in (".png", ".pdf"):
        assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix])
    else:
        assert content.decode("utf-8") == WRITERS[suffix.lower()](awkward_graph())
    assert list(tmp_path.iterdir()) == [path], "nothing else is left"


@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", "<svg"), (".json", "{"), (".dot", "digraph"), (".gv", "digraph")]
)
def test_each_suffix_means_its_format(suffix: str, start: str) -> None:
    assert str(WRITERS[suffix](awkward_graph())).startswith(start)


@pytest.mark.parametrize("suffix", PICTURES)
def test_pictures_fold_unless_told_not_to(tmp_path: Path, suffix: str) -> None:
    graph = graph_of("x" + "abcde" * 20)
    sizes = []
    for fold in (True, False):
        save(graph, tmp_path / f"x{suffix}", fold=fold)
        sizes.append((tmp_path / f"x{suffix}").stat().st_size)
    # A PDF holds its letters, too.
    assert sizes[0] < 0.75 * sizes[1]


def test_what_is_read_back_is_whole(tmp_path: Path) -> None:
    graph = graph_of("x" + "abcde" * 20)
    save(graph, tmp_path / "x.json", fold=True)
    assert len(from_json((tmp_path / "x.json").read_text())) == len(graph)


@pytest.mark.parametrize("name", ["graph.gif", "graph"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"use \.svg, \.png, \.pdf, \.json or \.dot"):
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
