"""Pictures of computational graphs."""

from xml.etree import ElementTree

import numpy as np
import pytest

from ghn.draw.labels import COLOURS
from ghn.draw.svg import to_svg
from ghn.graph import ComputationalGraph, Node
from ghn.graph.vocabulary import PRIMITIVES
from tests.draw.graphs import AWKWARD, GRAPHS, HOSTILE, LONG, graph_named, graph_of_one_node, long_graph, rich_graph

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", GRAPHS)
def test_svg_is_xml_with_a_box_for_each_node_and_a_line_for_each_edge(name: str) -> None:
    graph = GRAPHS[name]()
    root = ElementTree.fromstring(to_svg(graph, fold=False))
    assert root.tag == f"{SVG}svg"
    assert len(root.findall(f".//{SVG}rect[@class='node']")) == len(graph)
    assert len(root.findall(f".//{SVG}rect[@class='legend']")) == len({node.op for node in graph.nodes})
    assert len(root.findall(f".//{SVG}path[@class='e']")) == len(graph.edges)
    operations = [element.text for element in root.findall(f".//{SVG}text[@class='op']")]
    assert operations == [node.op for node in graph.nodes]


def test_svg_tells_names_and_shapes() -> None:
    root = ElementTree.fromstring(to_svg(rich_graph()))
    titles = [element.text or "" for element in root.findall(f".//{SVG}rect[@class='node']/{SVG}title")]
    assert f"{AWKWARD}.weight (3, 8, 5) weight, head" in titles[1]
    assert f"{LONG} (16, 4, 1, 1)" in titles[2]
    assert "norm.weight (16,) norm_weight\nnorm.bias (16,) norm_bias" in titles[3]
    names = [element.text for element in root.findall(f".//{SVG}text[@class='name']")]
    assert names[len(PRIMITIVES) :] == [f"{AWKWARD}.weight", "…self_attention.in_proj_weight", "norm"]
    shapes = [element.text for element in root.findall(f".//{SVG}text[@class='shape']")]
    assert shapes == ["8×5×3", "16×4", "16", "3×2"]
    assert "4 tensors to predict; others, kept: 2" in (root.findtext(f"{SVG}title") or "")


def test_svg_texts_have_a_length_of_their_own() -> None:
    """Where the font is another one, each text is still as wide as the picture was made for."""
    root = ElementTree.fromstring(to_svg(rich_graph()))
    for text in root.findall(f".//{SVG}text"):
        size = {"op": 11, "shape": 11, "name": 9, "caption": 12}[text.get("class", "")]
        length = len(text.text or "")
        if length > 1:
            assert float(text.get("textLength", "0")) == pytest.approx(length * size * 0.602, abs=0.06)


def test_svg_legend_counts_primitives() -> None:
    svg = to_svg(rich_graph())
    assert all(f">{op} ×1<" in svg for op in PRIMITIVES)
    assert ">input ×1<" in to_svg(graph_of_one_node())
    assert "conv ×" not in to_svg(graph_of_one_node())


def test_only_what_was_predicted_is_coloured() -> None:
    graph = rich_graph()
    root = ElementTree.fromstring(to_svg(graph, predicted=[LONG, "norm.bias"]))
    boxes = root.findall(f"{SVG}rect[@class='node']")
    coloured = {COLOURS["sep_conv"], COLOURS["bn"]}
    assert [index for index, box in enumerate(boxes) if box.get("fill") in coloured] == [2, 3]
    assert [index for index, box in enumerate(boxes) if box.get("stroke-dasharray")] == [1]
    assert len({box.get("fill") for box in boxes}) == 4
    legend = [element.text or "" for element in root.findall(f"{SVG}text[@class='name']")]
    assert [text for text in legend if "×" in text] == [
        "sep_conv ×1",
        "bn ×1",
        "kept ×1",
        f"no parameters ×{len(graph) - 3}",
    ]
    # Of the tensors two are predicted, 16 × 4 and 16 elements; the others are kept as those without a node are.
    assert "80 elements in 2 tensors predicted; others, kept: 4" in (root.findtext(f"{SVG}title") or "")


def test_where_all_is_predicted_no_node_with_parameters_lacks_its_colour() -> None:
    graph = rich_graph()
    root = ElementTree.fromstring(to_svg(graph, predicted=graph.parameters))
    assert "kept ×" not in to_svg(graph, predicted=graph.parameters)
    boxes = root.findall(f"{SVG}rect[@class='node']")
    assert [box.get("fill") for box in boxes[1:4]] == [COLOURS[node.op] for node in graph.nodes[1:4]]
    assert to_svg(graph_of_one_node(), predicted=()).count("no parameters ×1") == 1


def test_svg_stays_inside_its_view_box() -> None:
    root = ElementTree.fromstring(to_svg(long_graph(300), fold=False))
    width, height = (float(root.get(key, "0")) for key in ("width", "height"))
    for rect in root.findall(f".//{SVG}rect"):
        x, y, w, h = (float(rect.get(key, "nan")) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height


@pytest.mark.parametrize("case", HOSTILE)
def test_names_are_text_whatever_they_hold(case: str) -> None:
    svg = to_svg(graph_named(HOSTILE[case]))
    root = ElementTree.fromstring(svg.encode("utf-8"))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {
        element.tag.removeprefix(SVG) for element in ElementTree.fromstring(to_svg(graph_named("a"))).iter()
    }
    assert svg.replace("\n", "").isprintable()


def test_shapes_are_text_whatever_they_hold() -> None:
    """Nodes made by hand may hold anything."""
    node = Node("conv", (), ("</tspan></text><script>", "&"))  # type: ignore[arg-type]
    root = ElementTree.fromstring(to_svg(ComputationalGraph((Node("input"), node), np.array([[0, 1]]))))
    assert not root.findall(f".//{SVG}script")
