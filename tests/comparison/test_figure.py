"""Pictures of comparisons: what is drawn is what was found."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from ghn.comparison import figure
from ghn.comparison.cell import CellResult
from ghn.comparison.config import CompareConfig
from ghn.comparison.result import Comparison

pytest.importorskip("matplotlib")

CONFIG = CompareConfig(model="net", inits=("default", "ghn"), seeds=2)


def cell(init: str, seed: int, cost: float, *accuracies: float) -> CellResult:
    steps = tuple(range(0, 50 * len(accuracies), 50))
    return CellResult(init=init, seed=seed, steps=steps, accuracies=accuracies, cost=cost, step_seconds=0.5)


CELLS = (
    cell("default", 0, 0.0, 0.1, 0.3),
    cell("default", 1, 0.0, 0.1, 0.4),
    cell("ghn", 0, 10.0, 0.3, 0.4),
    cell("ghn", 1, 20.0, 0.2, 0.4),
)


class Axes:
    """Notes what is drawn."""

    def __init__(self) -> None:
        self.lines: list[tuple[list[float], list[float]]] = []
        self.bands: list[tuple[list[float], list[float], list[float]]] = []

    def plot(self, x: list[float], y: list[float], **_: object) -> None:
        self.lines.append((x, y))

    def fill_between(self, x: list[float], low: list[float], high: list[float], **_: object) -> None:
        self.bands.append((x, low, high))


def test_a_curve_begins_where_its_initialisation_ends() -> None:
    axes = Axes()
    _, row = Comparison(config=CONFIG, cells=CELLS).rows()
    figure._draw_row(axes, row, "k", "-")
    curve, waiting = axes.lines
    # 15 seconds are 30 steps of half a second.
    assert curve == ([30.0, 80.0], pytest.approx([25.0, 40.0]))
    assert waiting == ([0, 30.0], pytest.approx([25.0, 25.0]))
    ((_, low, high),) = axes.bands
    assert [(a + b) / 2 for a, b in zip(low, high, strict=True)] == pytest.approx([25.0, 40.0])
    assert high[0] - low[0] == pytest.approx(2 * 100 * 0.1 / 2**0.5)
    assert high[1] == pytest.approx(low[1])


def test_one_seed_has_no_band() -> None:
    axes = Axes()
    (row,) = Comparison(config=CONFIG, cells=CELLS[:1]).rows()
    figure._draw_row(axes, row, "k", "-")
    assert not axes.bands


@pytest.mark.parametrize(("ending", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_the_ending_is_the_format(tmp_path: Path, ending: str, begins: bytes) -> None:
    file = tmp_path / f"curves{ending}"
    figure.draw(Comparison(config=CONFIG, cells=CELLS), file)
    assert file.read_bytes().startswith(begins)
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


def test_names_are_text_and_no_markup(tmp_path: Path) -> None:
    name = "ghn:<b>$\\frac$</b>"
    config = CompareConfig(model="<script>alert(1)</script>", inits=("default", name), seeds=1)
    cells = (cell("default", 0, 0.0, 0.1, 0.3), cell(name, 0, 0.0, 0.1, 0.3))
    figure.draw(Comparison(config=config, cells=cells), tmp_path / "curves.svg")
    names = {element.tag.rpartition("}")[2] for element in ElementTree.parse(tmp_path / "curves.svg").iter()}
    assert "script" not in names
    assert "b" not in names


def test_clear_lines(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures end in \.svg, \.png, \.pdf"):
        figure.draw(Comparison(config=CONFIG, cells=CELLS), tmp_path / "curves.jpg")
    with pytest.raises(ValueError, match="no results to draw"):
        figure.draw(Comparison(config=CONFIG, cells=()), tmp_path / "curves.svg")
