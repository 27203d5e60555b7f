"""What a comparison refuses before anything is trained."""

from __future__ import annotations

import pytest

from ghn.comparison.config import CompareConfig
from ghn.finetuning import FinetuneConfig


def test_a_cell_differs_in_start_and_seed_only() -> None:
    config = CompareConfig(model="resnet18", inits=("default", "ghn"), seeds=2)
    first, second = config.cell("default", 0), config.cell("ghn", 1)
    changed = {name for name, value in first.to_dict().items() if second.to_dict()[name] != value}
    assert changed == {"init", "seed"}
    short = CompareConfig(model="resnet18", training=FinetuneConfig(steps=4))
    assert short.cell("default", 0).log_every == 1, "a line at least says how long a step takes"


def test_it_goes_through_json() -> None:
    config = CompareConfig(model="resnet18", inits=("default", "ghn+noise:0.1"), seeds=2)
    assert CompareConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inits": ()}, "no start to compare"),
        ({"inits": ("default", "ghn", "default")}, "default is named twice"),
        ({"inits": ("default", "lsvu")}, r"unknown initialiser 'lsvu'; did you mean lsuv"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"training": FinetuneConfig(minutes=1.0)}, "a number of steps, not of minutes"),
    ],
)
def test_bad_values_are_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        CompareConfig(**{"model": "resnet18", **changes})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
