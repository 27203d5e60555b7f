"""Graphs to draw and to write."""

import numpy as np

from ghn.graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.reasons import Reason
from ghn.graph.vocabulary import PRIMITIVES

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


def awkward_graph() -> ComputationalGraph:
    """An input, a convolution with such a name, a norm of two parameters, a pooling that two nodes feed."""
    parameters = {
        f"{AWKWARD}.weight": ParameterSpec(
            name=f"{AWKWARD}.weight", node=1, shape=(8, 3, 5, 5), role=Role.WEIGHT, head=True
        ),
        "norm.weight": ParameterSpec(name="norm.weight", node=2, shape=(8,), role=Role.NORM_WEIGHT),
        "norm.bias": ParameterSpec(name="norm.bias", node=2, shape=(8,), role=Role.NORM_BIAS),
    }
    nodes = (
        Node("input"),
        Node("conv", (f"{AWKWARD}.weight",), (8, 3, 5, 5)),
        Node("bn", ("norm.weight", "norm.bias"), (8,)),
        Node("max_pool", (), (1, 1, 3, 2)),
    )
    return ComputationalGraph(nodes, np.array([(0, 1), (1, 2), (1, 3), (2, 3)]), parameters)


HOSTILE = {
    "tag": "<script>alert(1)</script>",
    "quotes": "\"'><svg onload=alert(1)>",
    "end of data": "]]></title>",
    "entity": "&lt;&#0;",
    "line": "a\nb",
    "return": "a\rb",
    "escape": "\x1b[31m\x1b]0;title\x07",
    "nul": "a\0b",
    "control": "a\x9b31m",
    "no character": "a\uffff\ufffe",
    "direction": "\u202eevil\u2066",
    "surrogate": "a\ud800b",
    "line of Unicode": "a\u2028b\x85c",
    "backslash": "a\\",
    "backslash and quote": 'a\\"b',
    "long": "n" * 10_000,
}
"""Names that modules can have."""


def graph_named(name: str) -> ComputationalGraph:
    """A graph of one parameter of that name, and another that is kept."""
    spec = ParameterSpec(name=name, node=1, shape=(4, 3), role=Role.WEIGHT)
    nodes = (Node("input"), Node("conv", (name,), (4, 3)), Node("bias", (name + ".a", name + ".b"), (4,)))
    return ComputationalGraph(nodes, np.array([[0, 1], [1, 2]]), {name: spec}, {name + "k": Reason.read("frozen")})
