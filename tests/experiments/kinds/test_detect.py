"""A cell is a training of a detector by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ghn.experiments.kinds.detect import KIND
from ghn.finetuning.detection.config import DetectionConfig
from ghn.finetuning.detection.run import DetectionResult
from tests.experiments.kinds.jobs import job


def test_settings_reach_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def trained(config: DetectionConfig, folder: Path, *, device: str) -> DetectionResult:
        seen.append((config, folder, device))
        return DetectionResult(average_precision=0.5, steps=3, losses=[], seconds=1.5)

    monkeypatch.setattr("ghn.experiments.kinds.detect.train_detector", trained)
    settings = {"init": "orthogonal", "training": {"backbone": "resnet18", "steps": 3}}
    found = KIND.run(job(tmp_path, settings, seed=4))
    ((config, folder, device),) = seen
    assert config == DetectionConfig(backbone="resnet18", steps=3, init="orthogonal", seed=4)
    assert (folder, device) == (tmp_path / "work", "cpu")
    assert found.value == {"average_precision": 0.5, "steps": 3}
    assert found.times == {"initialisation": 1.5}
