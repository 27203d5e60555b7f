"""What every training's configuration refuses, and what a resumed one may change."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from ghn.finetuning import FinetuneConfig
from ghn.meta import MetaTrainingConfig
from ghn.training.config import TrainingConfig

ANY = pytest.mark.parametrize("cls", [TrainingConfig, MetaTrainingConfig, FinetuneConfig])


@ANY
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "steps must be at least [01], not -1"),
        ({"steps": True}, "steps must be of type int, not True"),
        ({"minutes": 0.0}, r"minutes must be positive, not 0\.0"),
        ({"learning_rate": 0}, "learning_rate must be positive, not 0"),
        ({"weight_decay": -1e-9}, "weight_decay must be at least 0"),
        ({"betas": (1.0, 0.9)}, r"betas is a share, from 0 to below 1, not \(1\.0, 0\.9\)"),
        ({"betas": [0.9, 0.99]}, "betas must be 2 values"),
        ({"momentum": 1.0}, "momentum is a share"),
        ({"warmup": -0.1}, r"warmup is a share, from 0 to below 1, not -0\.1"),
        ({"warmup": 1.0}, "warmup is a share"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"clip": float("inf")}, "clip must be a finite number, not inf"),
        ({"label_smoothing": 1.0}, "label_smoothing is a share"),
        ({"precision": "float8"}, "precision must be float32, bfloat16 or float16, not 'float8'"),
        ({"optimizer": None}, "optimizer must be of type str, not None"),
        ({"schedule": "Cosine"}, "schedule must be cosine, steps, thirds or constant"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"seed": 2**31}, r"seed must be below 2\^31, not 2147483648"),
        ({"save_every": 0}, "save_every must be at least 1"),
        ({"log_every": 0}, "log_every must be at least 1"),
        ({"validate_every": -1}, "validate_every must be at least 0"),
        ({"max_nonfinite": 0}, "max_nonfinite must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused_by_every_training(
    cls: type[TrainingConfig], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cls(**changes)  # type: ignore[arg-type]


@ANY
def test_the_limits_themselves_are_allowed(cls: type[TrainingConfig]) -> None:
    config = cls(
        steps=1, weight_decay=0, betas=(0.0, 0.0), momentum=0.0, warmup=0.0, clip=None, seed=2**31 - 1, minutes=1e-9
    )
    assert cls.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@ANY
def test_what_may_be_changed_is_there_and_is_not_part_of_the_identity(cls: type[TrainingConfig]) -> None:
    names = {entry.name for entry in fields(cls)}
    assert names >= cls.FREE_TO_CHANGE
    assert not set(cls().identity()) & cls.FREE_TO_CHANGE
    # hold_out is there as what it comes to.
    assert (names - cls.FREE_TO_CHANGE) - {"hold_out"} <= set(cls().identity())


@pytest.mark.parametrize(
    "changes", [{"steps": 2000}, {"precision": "bfloat16"}, {"clip": None}, {"learning_rate": 1.0}, {"minutes": 1.0}]
)
def test_a_run_may_go_on_longer_and_more_carefully(changes: dict[str, object]) -> None:
    assert replace(TrainingConfig(), **changes).identity() == TrainingConfig().identity()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"warmup": 0.1}, {"betas": (0.9, 0.99)}, {"optimizer": "sgd"}, {"weight_decay": 0.0}]
)
def test_a_run_with_another_course_is_another_run(changes: dict[str, object]) -> None:
    assert replace(TrainingConfig(), **changes).identity() != TrainingConfig().identity()  # type: ignore[arg-type]
