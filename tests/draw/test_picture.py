"""Boxes, lines and texts: nothing overlaps, whatever is drawn."""

from itertools import combinations

import numpy as np
import pytest
import torch

import ghn
from ghn.draw.picture import Box, Picture, Text, picture_of
from ghn.graph import ComputationalGraph, Node
from tests.draw.graphs import GRAPHS, awkward_graph
from tests.draw.test_folding import graph_of

FOLDING = {
    **GRAPHS,
    "awkward": awkward_graph,
    "blocks": lambda: graph_of("x" + "abcde" * 30 + "y" + "fgh" * 4),
    "residual": lambda: graph_of("abcbcbcbcbcz", [(1, 3), (3, 5), (5, 7), (7, 9), (9, 11)]),
    "long block": lambda: graph_of("abcdefghijklmnopqrstuvwxyz" * 3 + "z"),
}


def rectangle(shape: Box | Text) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    if isinstance(shape, Box):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    return shape.x, shape.y - 0.75 * shape.size, shape.x + shape.width, shape.y + 0.2 * shape.size


def overlap(one: Box | Text, other: Box | Text) -> bool:
    left, top, right, bottom = rectangle(one)
    other_left, other_top, other_right, other_bottom = rectangle(other)
    return (
        left < other_right - 0.1 and other_left < right - 0.1 and top < other_bottom - 0.1 and other_top < bottom - 0.1
    )


def inside(inner: Box | Text, outer: Box) -> bool:
    left, top, right, bottom = rectangle(inner)
    x, y, end, low = rectangle(outer)
    return x <= left and y <= top + 0.5 and right <= end and bottom <= low + 0.5


@pytest.fixture(params=FOLDING)
def picture(request: pytest.FixtureRequest) -> Picture:
    return picture_of(FOLDING[request.param]())


def test_no_text_overlaps_another(picture: Picture) -> None:
    rows = sorted(picture.texts, key=lambda text: text.y)
    for one, other in combinations(rows, 2):
        if other.y - one.y > 20:
            continue
        assert not overlap(one, other), (one.text, other.text)


def test_texts_of_nodes_lie_in_one_box_and_counts_in_none(picture: Picture) -> None:
    filled = [box for box in picture.boxes if box.kind != "frame"]
    for text in picture.texts:
        around = [box for box in filled if overlap(text, box)]
        if text.kind in ("times", "caption"):
            assert not around, text.text
        else:
            assert len(around) == 1, text.text
            assert inside(text, around[0]), text.text


def test_all_lies_in_the_picture(picture: Picture) -> None:
    shapes: list[Box | Text] = [*picture.boxes, *picture.texts]
    for shape in shapes:
        left, top, right, bottom = rectangle(shape)
        assert 0 <= left <= right <= picture.width
        assert 0 <= top <= bottom <= picture.height
    for line in picture.lines:
        assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in line.route)


def test_frames_hold_their_block_and_no_other_node() -> None:
    picture = picture_of(FOLDING["blocks"]())
    nodes = [box for box in picture.boxes if box.kind == "node"]
    first, second = (box for box in picture.boxes if box.kind == "frame")
    assert [text.text for text in picture.texts if text.kind == "times"] == ["× 30", "× 4"]
    for frame, count in ((first, 5), (second, 3)):
        assert sum(inside(box, frame) for box in nodes) == count
        assert sum(overlap(box, frame) for box in nodes) == count


def test_a_block_over_several_columns_has_a_frame_in_each() -> None:
    picture = picture_of(graph_of("x" + "".join(chr(0x100 + i) for i in range(120)) * 2 + "y"))
    nodes = [box for box in picture.boxes if box.kind == "node"]
    frames = [box for box in picture.boxes if box.kind == "frame"]
    assert len(frames) > 1
    assert sum(inside(box, frame) for box in nodes for frame in frames) == 120
    assert sum(overlap(box, frame) for box in nodes for frame in frames) == 120


def test_without_folding_all_is_drawn() -> None:
    graph = FOLDING["blocks"]()
    picture = picture_of(graph, fold=False)
    assert sum(box.kind == "node" for box in picture.boxes) == len(graph)
    assert not [box for box in picture.boxes if box.kind == "frame"]
    assert len(picture.lines) == len(graph.edges)


def test_the_title_says_what_is_left_out() -> None:
    assert (
        "10 nodes drawn" in picture_of(FOLDING["blocks"]()).title
        or "nodes drawn" in picture_of(FOLDING["blocks"]()).title
    )
    assert "drawn" not in picture_of(GRAPHS["rich"]()).title


def test_a_large_model_becomes_readable() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        graph = ghn.trace(models.efficientnet_v2_s())
    whole, less = picture_of(graph, fold=False), picture_of(graph)
    assert less.width * less.height < 0.5 * whole.width * whole.height


def test_an_edge_between_blocks_is_drawn_once() -> None:
    nodes = (Node("input"), Node("conv", ("a",), (2, 2)))
    assert len(picture_of(ComputationalGraph(nodes, np.array([[0, 1], [0, 1]]))).lines) == 1
