"""Pictures and files of computational graphs."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from ghn.draw.svg import to_svg
from ghn.graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.files import from_json, to_json, to_networkx
from ghn.graph.reasons import Reason
from ghn.graph.vocabulary import PRIMITIVES

SVG = "{http://www.w3.org/2000/svg}"
AWKWARD = 'a<b>&"c"\'\\.layer'
LONG = "encoder.layers.encoder_layer_11.self_attention.in_proj_weight"


def graph_of_one_node() -> ComputationalGraph:
    return ComputationalGraph((Node("input"),), np.zeros((0, 2), dtype=np.int64))


def rich_graph() -> ComputationalGraph:
    """Every field set to something other than its default, every primitive, names that need escaping."""
    parameters = {
        f"{AWKWARD}.weight": ParameterSpec(
            name=f"{AWKWARD}.weight", node=1, shape=(3, 8, 5), role=Role.WEIGHT, axes=(2, 0, 1), stack=1, head=True
        ),
        LONG: ParameterSpec(name=LONG, node=2, shape=(16, 4, 1, 1), role=Role.WEIGHT),
        "norm.weight": ParameterSpec(name="norm.weight", node=3, shape=(16,), role=Role.NORM_WEIGHT),
        "norm.bias": ParameterSpec(name="norm.bias", node=3, shape=(16,), role=Role.NORM_BIAS),
    }
    nodes = [
        Node("input"),
        Node("conv", (f"{AWKWARD}.weight",), (8, 5, 3)),
        Node("sep_conv", (LONG,), (16, 4, 1, 1)),
        Node("bn", ("norm.weight", "norm.bias"), (16,)),
        Node("max_pool", (), (1, 1, 3, 2)),
    ]
    nodes += [Node(op) for op in PRIMITIVES if op not in {node.op for node in nodes}]
    edges = [(node, node + 1) for node in range(len(nodes) - 1)] + [(1, 4), (0, 9)]
    kept = {"class_token": "no primitive fits <it>", 'quo"ted': "frozen"}
    return ComputationalGraph(
        tuple(nodes), np.array(edges), parameters, {name: Reason.read(text) for name, text in kept.items()}, "meta"
    )


def long_graph(count: int) -> ComputationalGraph:
    nodes = (Node("input"), *(Node("conv", (f"layers.{i}.weight",), (8, 8, 3, 3)) for i in range(1, count)))
    return ComputationalGraph(nodes, np.array([(i, i + 1) for i in range(count - 1)]))


GRAPHS = {"one node": graph_of_one_node, "rich": rich_graph, "long": lambda: long_graph(300)}


@pytest.mark.parametrize("name", GRAPHS)
def test_svg_is_xml_with_a_box_for_each_node_and_a_line_for_each_edge(name: str) -> None:
    graph = GRAPHS[name]()
    root = ElementTree.fromstring(to_svg(graph))
    assert root.tag == f"{SVG}svg"
    legend = len({node.op for node in graph.nodes})
    assert len(root.findall(f".//{SVG}rect")) == len(graph) + legend
    assert len(root.findall(f".//{SVG}path[@class='e']")) == len(graph.edges)
    operations = [(element.text or "").strip() for element in root.findall(f".//{SVG}text[@class='o']")]
    assert operations == [node.op for node in graph.nodes]


def test_svg_tells_names_and_shapes() -> None:
    root = ElementTree.fromstring(to_svg(rich_graph()))
    titles = [element.text or "" for element in root.findall(f".//{SVG}rect/{SVG}title")]
    assert f"{AWKWARD}.weight (3, 8, 5) weight, head" in titles[1]
    assert f"{LONG} (16, 4, 1, 1)" in titles[2]
    assert "norm.weight (16,) norm_weight\nnorm.bias (16,) norm_bias" in titles[3]
    names = [element.text for element in root.findall(f".//{SVG}g/{SVG}g/{SVG}text[@class='n']")]
    assert names == [f"{AWKWARD}.weight", "…self_attention.in_proj_weight", "norm"]
    shapes = [element.text for element in root.findall(f".//{SVG}tspan")]
    assert shapes == ["8×5×3", "16×4", "16", "3×2"]
    assert "4 tensors to predict; others, kept: 2" in (root.findtext(f"{SVG}title") or "")


def test_svg_text_fits_its_box() -> None:
    root = ElementTree.fromstring(to_svg(rich_graph()))
    for group in root.findall(f".//{SVG}g/{SVG}g"):
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        for text, size in ((group.find(f"{SVG}text[@class='o']"), 11), (group.find(f"{SVG}text[@class='n']"), 9)):
            if text is not None:
                assert len("".join(text.itertext())) * size * 0.6 < float(rect.get("width", "0"))


def test_svg_legend_counts_primitives() -> None:
    svg = to_svg(rich_graph())
    assert all(f">{op} ×1<" in svg for op in PRIMITIVES)
    assert ">input ×1<" in to_svg(graph_of_one_node())
    assert "conv ×" not in to_svg(graph_of_one_node())


def test_svg_stays_inside_its_view_box() -> None:
    root = ElementTree.fromstring(to_svg(long_graph(300)))
    width, height = (float(root.get(key, "0")) for key in ("width", "height"))
    translation = re.search(r"translate\(0 (\d+)\)", to_svg(long_graph(300)))
    assert translation is not None
    for rect in root.findall(f"{SVG}g/{SVG}g/{SVG}rect"):
        x, y, w, h = (float(rect.get(key, "nan")) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h + float(translation[1]) <= height


def same(first: ComputationalGraph, second: ComputationalGraph) -> bool:
    return (
        first.nodes == second.nodes
        and np.array_equal(first.edges, second.edges)
        and list(first.parameters.items()) == list(second.parameters.items())
        and list(first.kept.items()) == list(second.kept.items())
        and first.traced_by == second.traced_by
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_json_round_trip_loses_nothing(name: str) -> None:
    graph = GRAPHS[name]()
    restored = from_json(to_json(graph))
    assert same(graph, restored)
    assert all(isinstance(spec.role, Role) for spec in restored.parameters.values())
    assert not same(restored, rich_graph()) or name == "rich"


def without(key: str) -> str:
    document = json.loads(to_json(rich_graph()))
    del document[key]
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "no JSON"),
        ("[]", "no format"),
        ("{}", "no format"),
        (to_json(graph_of_one_node()).replace('"version": 1', '"version": 7'), "version 7.*write it anew"),
        (without("nodes"), "'nodes'"),
        (to_json(rich_graph()).replace('"op": "msa"', '"op": "magic"'), "unknown primitive 'magic'"),
        (to_json(rich_graph()).replace('"norm_bias"', '"colour"'), "colour"),
        (to_json(graph_of_one_node()).replace('"edges": []', '"edges": [[0, 5]]'), "index the 1 nodes"),
    ],
)
def test_json_that_is_no_graph_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(text)


def test_networkx_has_nodes_edges_and_attributes() -> None:
    graph = rich_graph()
    exported = to_networkx(graph)
    assert list(exported.nodes) == list(range(len(graph)))
    assert sorted(exported.edges) == [tuple(edge) for edge in graph.edges.tolist()]
    assert exported.nodes[3] == {"op": "bn", "parameters": ("norm.weight", "norm.bias"), "shape": (16,)}
    assert exported.graph == {"kept": dict(graph.kept), "traced_by": "meta"}
