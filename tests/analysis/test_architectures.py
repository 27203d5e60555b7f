"""A map of architectures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ghn.analysis.architectures import architecture_map, embedding, families_in_order, projected
from ghn.analysis.config import AnalysisConfig
from ghn.analysis.networks import Networks
from ghn.hypernet import GHNConfig
from ghn.hypernet.batch import GraphBatch
from ghn.model import GHN
from tests.analysis.networks import ATTENTION, SMALL, WIDER


def hypernet(encoder: str = "graphormer") -> GHN:
    torch.manual_seed(0)
    return GHN(GHNConfig(hidden=8, layers=1, heads=2, max_channels=8, spatial=5, num_classes=3, encoder=encoder)).eval()  # type: ignore[arg-type]


def networks(**settings: object) -> Networks:
    given = {"models": (SMALL, WIDER, ATTENTION), "data": "noise", "image_size": 12, "num_classes": 3, **settings}
    return Networks(AnalysisConfig(**given))  # type: ignore[arg-type]


def test_components_are_those_of_the_covariance() -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 4)) * [3, 2, 1, 0.5]
    points, explained, similarities = projected(vectors)
    values, axes = np.linalg.eigh(np.cov(vectors.T, bias=True))
    assert explained == pytest.approx((values[3] / values.sum(), values[2] / values.sum()))
    centred = vectors - vectors.mean(0)
    for place in (0, 1):
        assert np.abs(points[:, place]) == pytest.approx(np.abs(centred @ axes[:, 3 - place]))
        assert points[np.abs(points[:, place]).argmax(), place] > 0
    a, b = centred[0], centred[1]
    assert similarities[0, 1] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_vectors_that_are_all_alike_lie_in_one_point() -> None:
    points, _, similarities = projected(np.ones((3, 1)))
    assert points.tolist() == [[0, 0]] * 3
    assert (similarities == 0).all()


@pytest.mark.parametrize("encoder", ["graphormer", "gated_gnn", "mlp"])
def test_a_network_is_the_mean_of_its_nodes(encoder: str) -> None:
    found = hypernet(encoder)
    structure = next(networks().structures())
    states = found.encode(GraphBatch.from_graphs([structure.graph]))
    assert embedding(found, structure.graph).numpy() == pytest.approx(states.mean(0).detach().numpy(), abs=1e-6)


def test_nearest_are_those_of_the_largest_cosine() -> None:
    seen: list[str] = []
    found = architecture_map(networks(splits={"test": 2}), hypernet(), lambda one: seen.append(one.name))
    assert list(found.models) == seen == ["test/0", "test/1", SMALL, WIDER, ATTENTION]
    assert found.families[-3:] == ("Small", "Sequential", "Attention")
    nearest = found.nearest(SMALL, 10)
    assert len(nearest) == 4
    assert [cosine for _, cosine in nearest] == sorted((cosine for _, cosine in nearest), reverse=True)
    row = found.similarities[2]
    assert nearest[0][1] == pytest.approx(max(np.delete(row, 2)))
    assert found.to_dict()["nearest"][SMALL] == dict(nearest[:5])
    with pytest.raises(ValueError, match="'resnet18' is not on the map; there are test/0"):
        found.nearest("resnet18")


def test_too_few_networks_are_told() -> None:
    with pytest.raises(ValueError, match="a map takes at least 3 networks, not 1"):
        architecture_map(networks(models=(SMALL,)), hypernet())


def test_families_by_size() -> None:
    assert families_in_order(["b", "a", "c", "c"]) == ["c", "a", "b"]
