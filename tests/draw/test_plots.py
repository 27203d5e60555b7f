"""What pictures have in common."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ghn.draw.plots import (
    COLOURS,
    MARKERS,
    checked_format,
    colour,
    literal,
    marker,
    name_points,
    new_figure,
    plain_axes,
    plain_ticks,
    short,
    style,
    whole_ticks,
    write_figure,
)

pytest.importorskip("matplotlib")


def test_a_picture_has_a_known_ending() -> None:
    assert checked_format("a.SVG") == Path("a.SVG")
    with pytest.raises(ValueError, match=r"a.gif: pictures end in .svg, .png, .pdf"):
        checked_format("folder/a.gif")


@pytest.mark.parametrize(("ending", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_it_is_written_as_its_ending_says(tmp_path: Path, ending: str, start: bytes) -> None:
    figure = new_figure(2, 2)
    axes = figure.add_subplot()
    plain_axes(axes)
    axes.set_title(literal("a $ and \x1b"))
    file = tmp_path / f"a{ending}"
    write_figure(figure, file)
    assert file.read_bytes().startswith(start)


def test_many_things_are_told_apart() -> None:
    pairs = {(colour(number), marker(number)) for number in range(len(COLOURS) * len(MARKERS))}
    assert len(pairs) == len(COLOURS) * len(MARKERS)
    assert style(0) == style(len(COLOURS) + 2) == "-"


def test_ticks_are_whole_or_plain_numbers() -> None:
    figure = new_figure(3, 2)
    axes = figure.add_subplot()
    axes.plot([1, 2, 3], [60, 700, 3000])
    axes.set_yscale("log")
    whole_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    figure.canvas.draw()
    assert all(float(tick) == int(tick) for tick in axes.get_xticks())
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert {"100", "200", "500", "1,000", "2,000"} <= set(labels)


def test_text_is_shown_as_it_is_and_cut_where_long() -> None:
    assert literal("a$b\n") == r"a\$b\n"
    assert len(short("x" * 100)) == 44
    assert short("x" * 100).endswith("…")


def test_names_overlap_neither_each_other_nor_points_nor_the_frame() -> None:
    figure = new_figure(3, 3)
    axes = figure.add_subplot()
    points = [(x / 10, y / 10) for x, y in itertools.product(range(10), range(4))] + [(0.05, 0.9)]
    axes.scatter(*zip(*points, strict=True))
    names = [f"network {number}" for number in range(len(points))]
    written = name_points(axes, points, names)
    renderer = figure.canvas.get_renderer()
    boxes = [label.get_window_extent(renderer) for label in axes.texts]
    assert 0 < written == len(boxes) < len(points)
    assert "network 40" in [label.get_text() for label in axes.texts]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    frame = axes.get_window_extent(renderer)
    for box in boxes:
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1  # noqa: PT018
        for x, y in axes.transData.transform(points):
            assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1)
