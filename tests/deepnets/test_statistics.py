import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from ghn.deepnets import OPERATIONS, DeepNets, NetworkArguments, PublishedDeepNets, network_from_arguments, summarise
from ghn.deepnets.sample import parameter_count
from ghn.deepnets.statistics import Spread, mean_path_length
from ghn.graph import PRIMITIVES, ComputationalGraph, Node
from tests.deepnets.architectures import CONFIGURATIONS, golden, metadata_files


def test_spread() -> None:
    spread = Spread.of([1, 2, 6])
    assert (spread.mean, spread.least, spread.most) == (3, 1, 6)
    assert spread.std == pytest.approx((14 / 3) ** 0.5)
    assert str(spread) == "3 ± 2.2 (1 to 6)"
    assert str(Spread.of([999.6, 1000.4])) == "1,000 ± 0.4 (1,000 to 1,000)"
    assert str(Spread.of([0, 200])) == "100 ± 100 (0 to 200)"


@pytest.mark.parametrize("split", ["train", "wide", "bnfree"])
def test_against_definitions(split: str) -> None:
    statistics = summarise(split, 5)
    items = [DeepNets(split)[index] for index in range(5)]
    graphs = [nx.from_edgelist(item.graph.edges.tolist()) for item in items]
    expected = {
        "cells": [item.net_args["n_cells"] for item in items],
        "nodes": [len(graph) for graph in graphs],
        "degree": [np.mean([degree for _, degree in graph.degree()]) for graph in graphs],
        "largest_degree": [max(degree for _, degree in graph.degree()) for graph in graphs],
        "path_length": [nx.average_shortest_path_length(graph) for graph in graphs],
        "parameters": [
            sum(p.numel() for p in network_from_arguments(item.net_args).parameters()) / 1e6 for item in items
        ],
    }
    for name, values in expected.items():
        spread = statistics.spreads()[name]
        assert (spread.mean, spread.std, spread.least, spread.most) == pytest.approx(
            (np.mean(values), np.std(values), min(values), max(values))
        )
    assert statistics.without_norm == np.mean([item.net_args["norm"] is None for item in items])
    for shares, names in ((statistics.operations, OPERATIONS), (statistics.primitives, PRIMITIVES)):
        assert sum(shares.values()) == pytest.approx(1)
        assert set(shares) <= set(names)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_channels_grow_at_reductions() -> None:
    channels = [summarise(split, 20).channels for split in ("test", "wide")]
    assert [(spread.least, spread.most) for spread in channels] == [(32, 128), (128, 512)]


def test_single_node() -> None:
    assert mean_path_length(ComputationalGraph(nodes=(Node("input"),), edges=np.zeros((0, 2), dtype=np.int64))) == 0


def test_plain_values() -> None:
    plain = summarise("val", 2).to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["split"], plain["count"], plain["size"]) == ("val", 2, 500)


def test_default_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert summarise(DeepNets("val", size=3)).count == 3


@pytest.mark.parametrize("count", [0, 101])
def test_impossible_counts(count: int) -> None:
    with pytest.raises(ValueError, match=f"count must be between 1 and 100, not {count}"):
        summarise("deep", count)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_what_is_said_of_a_network_is_true_of_the_released_graph(configuration: str, reference: Path) -> None:
    num_classes, image_size = CONFIGURATIONS[configuration]
    entries = [entry for split in golden(reference, configuration)["splits"].values() for entry in split]
    assert len(entries) == 25
    for entry in entries:
        deepnets = Given(NetworkArguments.from_dict(entry["net_args"]), image_size, num_classes)
        statistics = summarise(deepnets, 1)
        released = nx.from_edgelist(entry["edges"])
        degrees = [degree for _, degree in released.degree()]
        assert statistics.nodes.mean == len(entry["nodes"])
        assert statistics.degree.mean == pytest.approx(np.mean(degrees))
        assert statistics.largest_degree.mean == max(degrees)
        assert statistics.path_length.mean == pytest.approx(nx.average_shortest_path_length(released))
        predicted = sum(int(np.prod(shape)) for shape, _, _ in entry["params"])
        parameters = dict(deepnets[0].network.named_parameters())
        assert statistics.parameters.mean * 1e6 == pytest.approx(
            predicted + sum(parameters[name].numel() for name in entry["unreachable"])
        )


class Given(DeepNets):
    """One network."""

    def __init__(self, arguments: NetworkArguments, image_size: int, num_classes: int) -> None:
        super().__init__("test", image_size, num_classes, size=1)
        self.given = arguments

    def arguments(self, index: int, draw: int = 0) -> NetworkArguments:
        return self.given


def test_published_files_look_the_same(reference: Path) -> None:
    train = metadata_files(reference)[0]
    released, ours = summarise(PublishedDeepNets(train, "train")), summarise("train", 300)
    sizes = [
        np.log([parameter_count(deepnets.arguments(index)) for index in range(count)])
        for deepnets, count in ((PublishedDeepNets(train, "train"), released.count), (DeepNets("train"), 300))
    ]
    assert abs(sizes[0].mean() - sizes[1].mean()) < 3 * sum(size.var() / len(size) for size in sizes) ** 0.5
    for name in ("cells", "nodes", "degree", "largest_degree", "path_length"):
        theirs, mine = released.spreads()[name], ours.spreads()[name]
        # Three standard errors of the difference of means.
        error = (theirs.std**2 / released.count + mine.std**2 / ours.count) ** 0.5
        assert abs(theirs.mean - mine.mean) < 3 * error, name
