"""Pictures of diversity."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.analysis.diversity import Diversity
from ghn.analysis.figures.diversity import draw_diversity
from ghn.analysis.published import distances


def row(shape: str, start: str, mean: float, asked: str | None = None) -> Diversity:
    return Diversity(shape=shape, asked=asked or shape, start=start, mean=mean, whole=mean / 2, tensors=4, networks=2,
        matched=start == "trained")  # fmt: skip


def test_a_bar_for_each_start_beside_what_was_published(drawn: Callable[..., Any]) -> None:
    rows = [
        row("64x3x7x7", "ghn", 0.01),
        row("64x3x7x7", "trained", 0.4),
        row("1024x256x1x1", "ghn", 0.2, "1024"),
        row("1024x256x1x1", "trained", 0.9, "1024"),
        row("9x9x1x1", "ghn", math.nan),
    ]
    figure = drawn(lambda file: draw_diversity(rows, file, "2 networks"))
    (axes,) = figure.axes
    widths = [round(bar.get_width(), 3) for bar in axes.patches if bar.get_width()]
    assert widths == [0.2, 0.9, 0.01, 0.4]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1024x256x1x1", "64x3x7x7"]
    published = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())]
    assert published == [*distances("", third=True).values(), *distances("64x3x7x7").values()]
    assert "trained, channels matched" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_without_pairs_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no shape has two tensors to compare"):
        draw_diversity([row("3x3", "ghn", math.nan)], tmp_path / "a.png", "")
