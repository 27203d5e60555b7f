"""Configs: what is refused, and that they come back from plain values."""

from __future__ import annotations

import json

import pytest

from ghn.hypernet import GHNConfig
from ghn.train import MetaTrainingConfig, Space


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta_batch": 0}, "meta_batch must be at least 1, not 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"clip": float("nan")}, "clip must be positive, not nan"),
        ({"accumulate": 0}, "accumulate must be at least 1 network, not 0; leave it out for all"),
        ({"minutes": 0.0}, "minutes must be positive"),
        ({"warmup": 1.0}, "warmup is a share of the run"),
        ({"precision": "half"}, "precision must be float32, bfloat16 or float16, not 'half'"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaTrainingConfig(**changes)  # type: ignore[arg-type]


def test_plain_values_and_back() -> None:
    config = MetaTrainingConfig(
        hypernet=GHNConfig.preset("ghn2", num_classes=10), space=Space(channels=(32, 48), max_megamacs=3.5), minutes=1.5
    )
    assert MetaTrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="Space has no field 'colour'; the run was saved by another version of ghn"):
        MetaTrainingConfig.from_dict({"space": {"colour": 1}})
