"""PNG and PDF of the same picture."""

import io
import re

import numpy as np
import pytest

from ghn.draw import plotted
from ghn.draw.picture import picture_of
from ghn.draw.plotted import LARGEST, to_pdf, to_png
from tests.draw.graphs import GRAPHS, HOSTILE, awkward_graph, graph_named, long_graph
from tests.draw.test_folding import graph_of

matplotlib = pytest.importorskip("matplotlib")


def pixels(content: bytes) -> np.ndarray:
    """Of a PNG: (height, width, 3), 0..1."""
    from matplotlib.image import imread

    return imread(io.BytesIO(content), format="png")[:, :, :3]


@pytest.mark.parametrize("name", GRAPHS)
def test_the_png_has_two_pixels_for_one(name: str) -> None:
    graph = GRAPHS[name]()
    picture, image = picture_of(graph), pixels(to_png(graph))
    assert image.shape[:2] == pytest.approx((2 * picture.height, 2 * picture.width), abs=2)


def test_boxes_have_their_colours_where_they_are() -> None:
    graph = awkward_graph()
    image = pixels(to_png(graph))
    for box in picture_of(graph).boxes:
        assert box.fill is not None
        x, y = round(2 * (box.x + 5)), round(2 * (box.y + 2))
        expected = [int(box.fill[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert image[y, x] == pytest.approx(expected, abs=0.02), box


def test_frames_are_drawn() -> None:
    graph = graph_of("x" + "abcde" * 4)
    (frame,) = (box for box in picture_of(graph).boxes if box.kind == "frame")
    image = pixels(to_png(graph))
    assert image[round(2 * (frame.y + 2)), round(2 * (frame.x + 2))].mean() < 0.99
    assert image[round(2 * (frame.y + 2)), round(2 * (frame.x - 2))].mean() == 1


def test_the_pdf_is_one_page_with_its_texts() -> None:
    content = to_pdf(awkward_graph())
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) == 1
    assert b"DejaVuSansMono" in content


def test_characters_that_the_font_lacks_are_boxes_and_no_warning() -> None:
    assert to_png(graph_named("層.重み"))


@pytest.mark.parametrize("case", HOSTILE)
def test_names_are_text_whatever_they_hold(case: str) -> None:
    assert to_png(graph_named(HOSTILE[case] + "$x^2$"))


def test_a_huge_drawing_is_scaled_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotted, "LARGEST", 500)
    assert max(pixels(to_png(long_graph(100), fold=False)).shape) <= 501
    assert LARGEST > 10_000


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ValueError, match=r'pip install "ghn\[plots\]"'):
        to_png(awkward_graph())
