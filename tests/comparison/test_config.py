"""What a comparison refuses before anything is trained."""

from __future__ import annotations

import pytest

from ghn.comparison.config import CompareConfig


def test_a_cell_differs_in_start_and_seed_only() -> None:
    config = CompareConfig(model="resnet18", inits=("default", "ghn"), seeds=2)
    first, second = config.cell("default", 0), config.cell("ghn", 1)
    changed = {name for name, value in first.to_dict().items() if second.to_dict()[name] != value}
    assert changed == {"init", "seed"}


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
    ],
)
def test_bad_values_are_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        CompareConfig(**{"model": "resnet18", **changes})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
