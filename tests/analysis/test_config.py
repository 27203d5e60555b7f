"""Which networks are analysed."""

from __future__ import annotations

from typing import Any

import pytest

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.published import models


def test_a_group_stands_for_its_models() -> None:
    config = AnalysisConfig(models=("mine.py:make", "torchvision-74"))
    assert config.models == ("mine.py:make", *models())
    assert AnalysisConfig.from_dict(config.to_dict()) == config


def test_which_networks_are_looked_at_is_no_part_of_what_a_number_depends_on() -> None:
    one = AnalysisConfig(models=("a",), starts=("default",))
    assert one.identity() == AnalysisConfig(models=("b", "a"), starts=("orthogonal",)).identity()
    assert one.identity() != AnalysisConfig(models=("a",), images=8).identity()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no network to analyse: name models"),
        ({"splits": {"tset": 3}}, "unknown split 'tset'; there are train"),
        ({"splits": {"wide": 101}}, "wide has 1..100 networks to analyse, not 101"),
        ({"models": ("a", "a")}, "the model 'a' is named twice"),
        ({"models": ("a",), "starts": ("default", "default")}, "the start 'default' is named twice"),
        ({"models": ("a",), "starts": ()}, "no start: name at least one"),
        ({"models": ("a",), "starts": ("defualt",)}, "unknown initialiser 'defualt'; did you mean default"),
        ({"models": ("a",), "images": 1}, "images must be at least 2, not 1"),
        ({"splits": {"test": 2}, "starts": ("trained",)}, "have no trained weights"),
    ],
)
def test_what_cannot_be_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnalysisConfig(**settings)
