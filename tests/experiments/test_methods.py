"""Starts by the paper's names."""

from __future__ import annotations

import pytest

from ghn.experiments.methods import RANDOM, given, size_of, trained
from ghn.hypernet import GHN, GHNConfig
from ghn.initializers import create
from ghn.meta.config import MetaTrainingConfig


def test_a_hypernetwork_that_is_trained_first_is_a_needed_cell() -> None:
    config = MetaTrainingConfig(steps=7, data_root="somewhere", seed=5)
    method = trained("no backward embedding", config, seed=2, backward_edges=False)
    cell = method.needs["hypernet"]
    assert (cell.kind, cell.seed) == ("train", 2)
    read = MetaTrainingConfig.from_dict(cell.settings["config"])
    assert read.steps == 7
    assert read.data_root is None, "where files are does not tell cells apart"
    assert not read.hypernet.backward_edges
    assert method.parameters == pytest.approx(size_of(read.hypernet) / 1e6)
    other = trained("the same", config, seed=2)
    assert other.needs["hypernet"].digest != cell.digest


def test_sizes_are_counted() -> None:
    config = GHNConfig(hidden=8, layers=1, heads=2, max_channels=8, spatial=5, num_classes=10)
    assert size_of(config) == sum(parameter.numel() for parameter in GHN(config).parameters())


def test_starts_can_be_made() -> None:
    assert RANDOM.random
    method = given("ghn3-t", "ghn3-t-cifar10", 6.9)
    assert not method.random
    create(method.init)
