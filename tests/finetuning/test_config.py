"""What a fine-tuning refuses, and what makes it another one."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from ghn.finetuning import FinetuneConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be positive, not 0"),
        ({"epochs": math.inf}, "epochs must be a finite number, not inf"),
        ({"learning_rates": ()}, "learning_rates must be at least one"),
        ({"learning_rates": (0.1, 0.0)}, r"learning_rates must be positive, not \(0\.1, 0\.0\)"),
        ({"learning_rates": 0.1}, r"learning_rates must be a tuple, not 0\.1"),
        ({"learning_rates": (0.1, math.nan)}, "learning_rates must be a finite number, not nan"),
        ({"learning_rates": ("0.1",)}, r"learning_rates must be a finite number, not '0\.1'"),
        ({"noise": -1e-9}, "noise must be at least 0, not -1e-09"),
        ({"steps": -1}, "steps must be at least 0, not -1"),
        ({"weight_decay": -1.0}, r"weight_decay must be at least 0, not -1\.0"),
        ({"warmup": -0.1}, "warmup is a share, from 0 to below 1"),
        ({"warmup": 1.0}, "warmup is a share, from 0 to below 1"),
        ({"max_nonfinite": 0}, "max_nonfinite must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(**changes)  # type: ignore[arg-type]


def test_the_published_protocol_is_the_default() -> None:
    """GHN-3, section 4.3: SGD with momentum 0.9, one epoch, cosine, weight decay and noise as released."""
    config = FinetuneConfig()
    assert (config.optimizer, config.momentum, config.weight_decay) == ("sgd", 0.9, 3e-5)
    assert (config.epochs, config.steps, config.noise, config.warmup, config.schedule) == (1.0, 0, 1e-5, 0.0, "cosine")
    assert config.rates == (0.4, 0.1, 0.04, 0.01, 0.001)


def test_plain_values_and_back() -> None:
    config = FinetuneConfig(learning_rates=(1, 0.5), epochs=0.25, minutes=2.0, clip=None)
    assert FinetuneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"save_every": 1, "log_every": 1, "max_nonfinite": 3, "validate_every": 5}, True),
        # A longer or more careful one would not have the numbers of one that was never stopped.
        ({"steps": 7}, False),
        ({"epochs": 2.0}, False),
        ({"learning_rates": (0.4,)}, False),
        ({"learning_rate": 1.0}, False),
        ({"precision": "bfloat16"}, False),
        ({"clip": None}, False),
        ({"noise": 0.0}, False),
        ({"seed": 1}, False),
    ],
)
def test_a_fine_tuning_goes_on_only_as_it_began(changes: dict[str, object], same: bool) -> None:
    before = FinetuneConfig()
    assert (replace(before, **changes).identity() == before.identity()) == same  # type: ignore[arg-type]
