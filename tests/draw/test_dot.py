"""DOT: quoted names, every node with its text and colour, every edge."""

import re

import pytest

from ghn.draw.dot import to_dot
from ghn.draw.labels import COLOURS
from tests.draw.graphs import HOSTILE, awkward_graph, graph_named


def test_every_node_and_every_edge() -> None:
    graph = awkward_graph()
    dot = to_dot(graph)
    assert dot.startswith("digraph ghn {")
    assert dot.endswith("}\n")
    assert re.findall(r"^  (\d+) \[label=", dot, re.MULTILINE) == ["0", "1", "2", "3"]
    assert re.findall(r"^  (\d+) -> (\d+);$", dot, re.MULTILINE) == [("0", "1"), ("1", "2"), ("1", "3"), ("2", "3")]


def test_nodes_show_what_boxes_show() -> None:
    dot = to_dot(awkward_graph())
    assert r'  2 [label="bn 8\nnorm", tooltip="2: bn\nnorm.weight (8,) norm_weight\nnorm.bias (8,) norm_bias", ' in dot
    assert f'  3 [label="max_pool 3×2", tooltip="3: max_pool (1, 1, 3, 2)", fillcolor="{COLOURS["max_pool"]}"];' in dot


def test_names_are_quoted() -> None:
    dot = to_dot(awkward_graph())
    assert r"a<b>&\"c\"" in dot
    assert r"'\\.layer" in dot
    # With escaped characters taken out, quotes come in pairs on every line.
    assert all(re.sub(r"\\.", "", line).count('"') % 2 == 0 for line in dot.splitlines())


@pytest.mark.parametrize("case", HOSTILE)
def test_each_node_is_one_statement_whatever_its_name(case: str) -> None:
    dot = to_dot(graph_named(HOSTILE[case]))
    text = r'"(?:[^"\\]|\\.)*"'
    statement = rf'  \d+ (\[label={text}, tooltip={text}, fillcolor="#[0-9a-f]{{6}}"\]|-> \d+);'
    lines = dot.removesuffix("\n").split("\n")
    assert all(re.fullmatch(statement, line) for line in lines[2:-1])
    assert all(line.isprintable() for line in lines)
