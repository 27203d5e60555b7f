"""What the graph builder alone promises; whole networks are compared with traced ones in test_direct_graph."""

import pytest

from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.graph.computational_graph import Node, Role
from ghn.graph.reasons import Reason, ReasonCode


def test_merging_one_path_with_itself_is_no_node() -> None:
    builder = GraphBuilder(has_norm=True)
    assert builder.merge("sum", (0, 0)) == 0
    first, second = builder.pool("max_pool", 0), builder.pool("avg_pool", 0)
    merged = builder.merge("concat", (second, first, second))
    assert builder.nodes[merged] == Node("concat")
    assert builder.edges[-2:] == [(first, merged), (second, merged)]


@pytest.mark.parametrize("has_norm", [True, False])
def test_what_nothing_feeds_is_kept(has_norm: bool) -> None:
    builder = GraphBuilder(has_norm)
    assert builder.norm("bn", builder.weight("conv", None, (8, 4, 3, 3)), 8) is None
    assert builder.linear("fc", None, 8, 4) is None
    assert builder.factorized_reduction("skip", None, 8, 8) is None
    norms = ["bn.weight", "bn.bias", "skip.bn.weight", "skip.bn.bias"] if has_norm else []
    names = ["conv.weight", "fc.weight", "fc.bias", "skip.conv_1.weight", "skip.conv_2.weight", *norms]
    assert builder.kept == dict.fromkeys(names, Reason(ReasonCode.UNUSED))
    assert builder.nodes == [Node("input")]
    assert not builder.parameters


def test_linear_is_two_nodes_and_a_norm_is_one() -> None:
    builder = GraphBuilder(has_norm=True)
    builder.current_cell = 3
    bias = builder.linear("fc", 0, 8, 4, head=True)
    norm = builder.scale_and_shift("ln", "ln", bias, 4)
    assert (bias, norm) == (2, 3)
    assert builder.nodes[1:] == [
        Node("conv", ("fc.weight",), (4, 8)),
        Node("bias", ("fc.bias",), (4,)),
        Node("ln", ("ln.weight", "ln.bias"), (4,)),
    ]
    assert builder.edges == [(0, 1), (1, 2), (2, 3)]
    assert builder.cell_of_node == [0, 3, 3, 3]
    roles = {name: (spec.node, spec.role, spec.head) for name, spec in builder.parameters.items()}
    assert roles == {
        "fc.weight": (1, Role.WEIGHT, True),
        "fc.bias": (2, Role.BIAS, True),
        "ln.weight": (3, Role.NORM_WEIGHT, False),
        "ln.bias": (3, Role.NORM_BIAS, False),
    }
