"""Pictures of rank correlations."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.analysis.figures.ranking import draw_ranking
from ghn.analysis.ranking import Correlation


def row(score: str, tau: float, start: str = "default") -> Correlation:
    return Correlation(score=score, start=start, tau=tau, low=tau - 0.1, high=tau + 0.1, networks=9)


def test_scores_are_ordered_with_their_intervals_and_published_ones(drawn: Callable[..., Any]) -> None:
    undefined = Correlation(score="naswot", start="default", tau=math.nan, reason="none")
    rows = [row("snip", 0.3), row("fisher", -0.2), undefined, row("accuracy", 0.5, "ghn")]
    about = "9 networks, 8 images of digits, 32 pixels"
    figure = drawn(lambda file: draw_ranking(rows, file, about, {"snip": 0.18, "jacobcov": None}))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "fisher, default", "snip, default", "accuracy, ghn"]  # fmt: skip
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
    assert points[:4] == [(-0.2, 0), (0.3, 1), (0.18, 1), (0.5, 2)]
    assert axes.get_title(loc="left") == about
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "here, interval of 95 %",
        "published, on ImageNet",
    }


def test_without_any_there_is_no_picture(tmp_path: Path) -> None:
    undefined = Correlation(score="snip", start="default", tau=math.nan, reason="2 networks have both")
    with pytest.raises(ValueError, match="no correlation to draw: 2 networks have both"):
        draw_ranking([undefined], tmp_path / "a.png", "")
