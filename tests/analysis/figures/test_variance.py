"""Pictures of variances."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.analysis.figures.variance import draw_variance
from ghn.analysis.records import Record


def record(model: str, start: str, *variances: float | None, error: str | None = None) -> Record:
    values = {"layers": [f"layer.{n}" for n in range(len(variances))], "variances": list(variances)}
    return Record(model=model, family="", start=start, values=values, error=error)


def test_a_line_for_each_start_and_a_panel_for_each_network(drawn: Callable[..., Any]) -> None:
    found = [
        record("a", "default", 1.0, 2.0, 0.0),
        record("a", "ghn", 1.0, None, 3.0),
        record("b$", "default", 1.0),
        record("b$", "ghn", error="it broke"),
    ]
    figure = drawn(lambda file: draw_variance(found, file, "8 images of digits, 32 pixels"))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [len(axes.lines) for axes in panels] == [2, 1]
    assert list(panels[0].lines[0].get_ydata()) == [1.0, 2.0, 1e-12]
    assert math.isnan(panels[0].lines[1].get_ydata()[1])
    assert panels[0].get_yscale() == "log"
    assert "8 images of digits" in figure._suptitle.get_text()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["default", "ghn"]


def test_of_many_networks_a_panel_for_each_start(drawn: Callable[..., Any]) -> None:
    found = [record(f"net{n}", start, *[float(n + 1)] * (n + 2)) for n in range(13) for start in ("default", "ghn")]
    figure = drawn(lambda file: draw_variance(found, file, "noise"))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [len(axes.lines) for axes in panels] == [14, 14]
    # The median of 1, ..., 13.
    assert panels[0].lines[-1].get_ydata() == pytest.approx([7.0] * 101)


def test_without_any_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no variances to draw"):
        draw_variance([record("a", "default", error="it broke")], tmp_path / "a.png", "")
    with pytest.raises(ValueError, match="pictures end in"):
        draw_variance([], tmp_path / "a.gif", "")
