"""Pictures as matplotlib has them before they are written."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.draw import plots


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], Any]:
    """Draws to a file, and gives the figure; no two texts of a panel may overlap."""
    pytest.importorskip("matplotlib")
    figures: list[Any] = []
    original = plots.new_figure

    def noted(*args: Any, **options: Any) -> Any:
        figures.append(original(*args, **options))
        return figures[-1]

    for module in ("diversity", "families", "filters", "ranking", "variance"):
        monkeypatch.setattr(f"ghn.analysis.figures.{module}.new_figure", noted)

    def draw(function: Callable[[Path], None]) -> Any:
        file = tmp_path / "picture.png"
        function(file)
        assert file.read_bytes().startswith(b"\x89PNG")
        check_texts(figures[-1])
        return figures[-1]

    return draw


def shown_ticks(axis: Any) -> list[Any]:
    """Labels of the ticks that lie on an axis; others are not drawn."""
    least, most = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if least <= tick.get_loc() <= most]


def check_texts(figure: Any) -> None:
    """No text lies over another one, or leaves the picture."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = [figure._suptitle] if figure._suptitle is not None else []
    for legend in figure.legends:
        texts += legend.get_texts()
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        texts += [axes.title, axes._left_title]
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label, *shown_ticks(axes.xaxis), *shown_ticks(axes.yaxis)]
        texts += axes.texts
    shown = [text for text in texts if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown]
    whole = figure.bbox
    for (name, one), (other_name, other) in itertools.combinations(boxes, 2):
        inside = one.width * one.height and other.width * other.height
        assert not (inside and one.padded(-1).overlaps(other.padded(-1))), f"{name!r} lies over {other_name!r}"
    for name, box in boxes:
        assert box.x0 >= whole.x0 - 1, f"{name!r} leaves the picture"
        assert box.x1 <= whole.x1 + 1, f"{name!r} leaves the picture"
