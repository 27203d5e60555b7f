"""Graphs in numbers, of splits and of single models."""

from __future__ import annotations

from pathlib import Path

import networkx
import pytest
import torch

from ghn.deepnets import summarise
from ghn.experiments.kinds.structure import KIND
from ghn.graph.trace import trace
from tests.experiments.kinds.jobs import job
from tests.experiments.tiny import MODEL, make


def test_a_split_is_summarised(tmp_path: Path) -> None:
    settings = {"split": "deep", "count": 2, "image_size": 32, "num_classes": 10}
    found = KIND.run(job(tmp_path, settings)).value
    by_hand = summarise("deep", 2)
    assert found["path_length"] == {"mean": by_hand.path_length.mean, "std": by_hand.path_length.std}
    assert found["parameters"]["mean"] == by_hand.parameters.mean
    assert found["count"] == 2


def test_a_model_is_traced(tmp_path: Path) -> None:
    found = KIND.run(job(tmp_path, {"model": MODEL, "image_size": 32, "num_classes": 10})).value
    graph = trace(make(), torch.zeros(2, 3, 32, 32))
    undirected = networkx.Graph([tuple(edge) for edge in graph.edges.tolist()])
    assert found["nodes"] == len(graph)
    assert found["degree"] == pytest.approx(2 * len(graph.edges) / len(graph))
    assert found["path_length"] == pytest.approx(networkx.average_shortest_path_length(undirected))
    assert found["parameters"] == sum(parameter.numel() for parameter in make().parameters()) / 1e6
