"""Statistics of graphs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.networks import Networks, Structure
from ghn.analysis.statistics import GraphStatistics, statistics, summary
from ghn.deepnets import summarise
from ghn.graph import ComputationalGraph, Node
from tests.analysis.networks import SMALL


def test_of_a_graph_of_four_nodes_by_hand() -> None:
    nodes = (Node("input"), Node("conv"), Node("conv"), Node("sum"))
    edges = np.array([[0, 1], [0, 2], [1, 3], [2, 3], [0, 3]])
    graph = ComputationalGraph(nodes=nodes, edges=edges)
    found = GraphStatistics.of(Structure(name="a", family="b", graph=graph, parameters=2_000_000))
    assert (found.nodes, found.edges, found.parameters, found.largest_degree) == (4, 5, 2.0, 3)
    assert found.degree == pytest.approx(2.5)
    # All pairs are neighbours but 1 and 2.
    lengths = [2 if pair == (1, 2) else 1 for pair in itertools.combinations(range(4), 2)]
    assert found.path_length == pytest.approx(sum(lengths) / 6)
    assert found.primitives == {"conv": 2, "input": 1, "sum": 1}


def test_they_are_those_of_the_splits_summary() -> None:
    config = AnalysisConfig(splits={"test": 3}, data="noise", image_size=32, num_classes=10)
    found = summary(statistics(Networks(config)))
    expected = summarise("test", 3).spreads()
    for name in ("nodes", "parameters", "degree", "largest_degree", "path_length"):
        assert found[name].mean == pytest.approx(expected[name].mean)
        assert found[name].most == pytest.approx(expected[name].most)


def test_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[GraphStatistics] = []
    networks = Networks(AnalysisConfig(models=(SMALL,), data="noise", image_size=12, num_classes=3))
    (found,) = statistics(networks, seen.append)
    assert seen == [found]
    assert (found.model, found.family) == (SMALL, "Small")
    assert found.primitives["bn"] == 1
    assert found.to_dict()["nodes"] == found.nodes
