"""What a box says, and how large it must be."""

import pytest

from ghn.draw.labels import CHARACTER, COLOURS, NAME_LIMIT, NAME_SIZE, OP_SIZE, label_of, tooltip_of
from ghn.graph import Node
from ghn.graph.vocabulary import PRIMITIVES
from tests.draw.graphs import AWKWARD, awkward_graph


def test_every_primitive_has_a_colour() -> None:
    assert set(COLOURS) == set(PRIMITIVES)
    assert len(set(COLOURS.values())) == len(PRIMITIVES)


@pytest.mark.parametrize("colour", COLOURS.values())
def test_dark_text_can_be_read_on_every_colour(colour: str) -> None:
    """Contrast of at least 7 (WCAG AAA) to the ink of the first line."""

    def luminance(text: str) -> float:
        channels = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert (luminance(colour) + 0.05) / (luminance("#1c2430") + 0.05) >= 7


@pytest.mark.parametrize(
    ("op", "shape", "shown"),
    [
        ("input", None, ""),
        ("sum", (), ""),
        ("conv", (8, 3, 5, 5), "8×3×5×5"),
        ("conv", (16, 4, 1, 1), "16×4"),
        ("conv", (16, 1, 1, 1), "16"),
        ("conv", (16, 4, 1, 3), "16×4×1×3"),
        ("bn", (16,), "16"),
        ("max_pool", (1, 1, 3, 2), "3×2"),
        ("avg_pool", (1, 1, 1, 1), "1×1"),
    ],
)
def test_shapes(op: str, shape: tuple[int, ...] | None, shown: str) -> None:
    assert label_of(Node(op, (), shape)).shape == shown


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ((), ""),
        (("fc.weight",), "fc.weight"),
        (("norm.weight", "norm.bias"), "norm"),
        (("weight", "bias"), "weight"),
        (("a" * NAME_LIMIT,), "a" * NAME_LIMIT),
        (("x" + "a" * NAME_LIMIT,), "…" + "a" * (NAME_LIMIT - 1)),
        (("encoder.layers.encoder_layer_11.self_attention.in_proj_weight",), "…self_attention.in_proj_weight"),
    ],
)
def test_names(parameters: tuple[str, ...], shown: str) -> None:
    label = label_of(Node("conv", parameters, (1,)))
    assert label.name == shown
    assert len(label.name) <= NAME_LIMIT


def test_boxes_hold_their_text() -> None:
    label = label_of(Node("conv", ("a" * 20,), (512, 512, 3, 3)))
    assert label.width > max(len("conv 512×512×3×3") * OP_SIZE, 20 * NAME_SIZE) * CHARACTER
    assert label.height > OP_SIZE + NAME_SIZE
    assert label_of(Node("sum", ("a" * 20,))).width > 20 * NAME_SIZE * CHARACTER
    bare = label_of(Node("sum"))
    assert label.height > bare.height > OP_SIZE
    assert bare.width > 3 * OP_SIZE * CHARACTER


def test_tooltips_have_everything() -> None:
    graph = awkward_graph()
    assert tooltip_of(graph, 0) == "0: input"
    assert tooltip_of(graph, 1) == f"1: conv\n{AWKWARD}.weight (8, 3, 5, 5) weight, head"
    assert tooltip_of(graph, 2) == "2: bn\nnorm.weight (8,) norm_weight\nnorm.bias (8,) norm_bias"
    assert tooltip_of(graph, 3) == "3: max_pool (1, 1, 3, 2)"


def test_wide_characters_have_room() -> None:
    wide, plain = (label_of(Node("sum", (name,))).width for name in ("卷积" * 8, "ab" * 8))
    assert wide == label_of(Node("sum", ("a" * 32,))).width > plain
