"""A cell is a training of a hypernetwork; its folder is what others start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ghn.deepnets import Space
from ghn.experiments.kinds.train import KIND
from ghn.hypernet.config import GHNConfig
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.run import train
from ghn.model import from_pretrained
from ghn.training.signals import StoppedError
from tests.experiments.kinds.jobs import job

pytest.importorskip("sklearn")

CONFIG = MetaTrainingConfig(
    hypernet=GHNConfig(hidden=8, layers=1, heads=2, max_channels=8, spatial=5, num_classes=10),
    data="digits", steps=2, meta_batch=1, images=8, log_every=1,
    space=Space(max_megamacs=20.0, max_cells=5, attention=0.0),
)  # fmt: skip


def test_it_is_a_training_by_hand(tmp_path: Path) -> None:
    found = KIND.run(job(tmp_path, {"config": CONFIG.to_dict()}, seed=4))
    by_hand = train(replace(CONFIG, seed=4), tmp_path / "hand", quiet=True).stepper.module
    made = from_pretrained(str(tmp_path / "output"))
    for name, value in by_hand.state_dict().items():
        assert torch.equal(made.state_dict()[name], value), name
    assert found.value["steps"] == 2
    assert found.value["parameters"] == sum(parameter.numel() for parameter in by_hand.parameters())
    assert found.value["loss"] > 0
    assert found.value["validation_accuracy"] is None
    assert found.times["step"] > 0


def test_one_that_was_stopped_makes_no_hypernetwork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = train
    monkeypatch.setattr("ghn.experiments.kinds.train.train", lambda *a, **k: real(*a, **k, stop_after=1))
    with pytest.raises(StoppedError, match="stopped after step 1"):
        KIND.run(job(tmp_path, {"config": CONFIG.to_dict()}))
    assert not (tmp_path / "output").exists()
    monkeypatch.undo()
    assert KIND.run(job(tmp_path, {"config": CONFIG.to_dict()})).value["steps"] == 2
