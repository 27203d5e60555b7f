"""Figures: what is drawn, and that the same numbers give the same file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ghn.experiments.figure import draw
from ghn.experiments.report import Plot, Report, Series

pytest.importorskip("matplotlib")

PLOTS = (
    Plot(title="curves $a", x="epochs", y="top-1", series=[Series(name="b$", x=[0, 1], y=[1.0, 2.0], band=[0.1, 0.2])]),
    Plot(title="points", x="random", y="ours", series=[Series(name="c", x=[1], y=[2])], points=True, diagonal=True),
    Plot(
        title="sizes",
        x="M",
        y="top-1",
        series=[Series(name="d", x=[1, 10], y=[2, 3], published=True)],
        logarithmic=True,
    ),
)
REPORT = Report(name="figure0", title="t", scale="small", data="digits", columns=[], rows=[], plots=PLOTS)


def test_all_figures_stand_side_by_side_and_are_reproducible(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "a.png"):
        draw(REPORT, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    for word in ("curves $a", "points", "sizes", "epochs", "b$"):
        assert f"<!-- {word.replace('$', chr(92) + '$')} -->" in text or f"<!-- {word} -->" in text
    assert "<!-- figure0, t; scale small, images of digits -->" in text, "what was measured on what"
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_what_cannot_be_drawn_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures end in"):
        draw(REPORT, tmp_path / "a.gif")
    empty = replace(REPORT, plots=[Plot(title="e", x="", y="", series=[Series(name="n", x=[], y=[])])])
    with pytest.raises(ValueError, match="figure0 has no figure to draw yet"):
        draw(empty, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()
