"""Cells that measure networks as `ghn.analysis` does."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.analysis.zero_cost.table import SCORES
from ghn.experiments.kinds.analysis import KIND
from tests.experiments.kinds.jobs import job
from tests.experiments.tiny import MODEL, make

pytest.importorskip("sklearn")


def settings(task: str, *models: str, **changes: Any) -> dict[str, Any]:
    return {
        "task": task, "models": list(models or (MODEL,)), "init": "default", "data": "digits", "image_size": 32,
        "num_classes": 10, "images": 16, **changes,
    }  # fmt: skip


def test_filters_are_those_of_the_start(tmp_path: Path) -> None:
    found = KIND.run(job(tmp_path, settings("filters"))).value
    torch.manual_seed(zlib.crc32(MODEL.encode()))  # each network has a seed of its own
    weight = next(make().parameters())
    assert torch.equal(torch.tensor(found["weights"]), weight)
    assert (found["layer"], found["filters"]) == ("0.weight", 4)


def test_every_score_has_a_value_or_a_reason(tmp_path: Path) -> None:
    found = KIND.run(job(tmp_path, settings("scores"))).value
    assert set(found["scores"]) == set(SCORES)
    assert {name for name, value in found["scores"].items() if value is None} == set(found["reasons"])
    assert found["scores"]["parameters"] == sum(parameter.numel() for parameter in make().parameters())


def test_variances_of_both_layers(tmp_path: Path) -> None:
    found = KIND.run(job(tmp_path, settings("variance"))).value
    assert found["layers"] == ["0.weight", "5.weight"]
    assert all(variance > 0 for variance in found["variances"])


def test_networks_of_deepnets_are_analysed(tmp_path: Path) -> None:
    name = "ghn.experiments.networks:deepnets,split=test,index=0"
    found = KIND.run(job(tmp_path, settings("scores", name))).value
    assert found["scores"]["gradnorm"] > 0


def test_diversity_is_of_all_networks_together(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    found = KIND.run(job(tmp_path, settings("diversity", "resnet18", "resnet34", "resnet50"))).value["distances"]
    assert [one["asked"] for one in found] == ["64x3x7x7", "256x256x3x3", "1024"]
    assert [one["networks"] for one in found] == [3, 3, 1]
    assert all(0.9 < one["mean"] < 1 for one in found if one["tensors"] > 1)


def test_a_network_that_cannot_be_measured_says_why(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(ValueError, match="no convolution of images"):
        KIND.run(job(tmp_path, settings("filters", "tests.experiments.kinds.test_analysis:without_filters")))


def without_filters(num_classes: int = 10) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, num_classes))
