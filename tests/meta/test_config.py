"""Configs: what is refused, and that they come back from plain values."""

from __future__ import annotations

import json

import pytest

from ghn.hypernet import GHNConfig
from ghn.meta import MetaTrainingConfig, Space


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta_batch": 0}, "meta_batch must be at least 1, not 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"clip": float("nan")}, "clip must be a finite number, not nan"),
        ({"accumulate": 0}, "accumulate must be at least 1, not 0"),
        ({"minutes": 0.0}, "minutes must be positive"),
        ({"warmup": 1.0}, "warmup is a share, from 0 to below 1, not 1.0"),
        ({"optimizer": "rmspropp"}, "unknown optimizer 'rmspropp'; did you mean rmsprop"),
        ({"penalty_form": "l1"}, "penalty_form must be norm or squared"),
        ({"schedule": "linear"}, "schedule must be cosine, steps, thirds or constant"),
        ({"penalty": -1.0}, "penalty must be at least 0, not -1"),
        ({"penalty": float("nan")}, "penalty must be a finite number, not nan"),
        ({"learning_rate": float("inf")}, "learning_rate must be a finite number"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a finite number, not '1e-3'"),
        ({"label_smoothing": 2.0}, "label_smoothing is a share"),
        ({"hold_out": -5}, "hold_out must be at least 0"),
        ({"few_shot": 0}, "few_shot must be at least 1"),
        ({"workers": -1}, "workers must be at least 0"),
        ({"validation_networks": 0}, "validation_networks must be at least 1"),
        ({"steps": 2.5}, "steps must be of type int, not 2.5"),
        ({"augment": 1}, "augment must be of type bool, not 1"),
        ({"betas": (0.9, 1.0)}, r"betas is a share, from 0 to below 1, not \(0\.9, 1\.0\)"),
        ({"betas": (0.9,)}, "betas must be 2 values"),
        ({"seed": 2**31}, "seed must be below"),
        ({"space": {"split": "train"}}, "space must be of type Space"),
        ({"inner_share": 1.5}, "inner_share is a share, 0 <= inner_share <= 1, not 1.5"),
        ({"inner_steps": 4, "images": 9}, r"4 inner steps need at least 10 images, .*; raise images \(9\)"),
        ({"inner_steps": -1}, "inner_steps must be at least 0"),
        ({"weight_noise": -0.1}, "weight_noise must be at least 0"),
        ({"initialization": "he"}, "initialization must be published or variance, not 'he'"),
        ({"select_by": "accuracy"}, "select_by is 'accuracy', but nothing is validated; set validate_every"),
        ({"select_by": "adapted", "validate_every": 5}, "select_by is 'adapted', but adapt_steps is 0"),
        ({"adapt_steps": 5, "adapt_rates": ()}, "adapt_rates is empty"),
        ({"adapt_rates": (0.1, 0.0)}, "adapt_rates must be positive"),
        ({"precision": "half"}, "precision must be float32, bfloat16 or float16, not 'half'"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaTrainingConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("hold_out", "validate_every", "held"), [(0, 0, 0), (0, 5, 256), (100, 5, 100), (7, 0, 7)])
def test_validation_holds_images_out(hold_out: int, validate_every: int, held: int) -> None:
    assert MetaTrainingConfig(hold_out=hold_out, validate_every=validate_every).held_out == held


def test_plain_values_and_back() -> None:
    config = MetaTrainingConfig(
        hypernet=GHNConfig.preset("ghn2", num_classes=10), space=Space(channels=(32, 48), max_megamacs=3.5), minutes=1.5
    )
    assert MetaTrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="Space has no field 'colour'; it was saved by another version of ghn"):
        MetaTrainingConfig.from_dict({"space": {"colour": 1}})
