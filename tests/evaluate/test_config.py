"""What can be evaluated, and what cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ghn.evaluate import EvaluationConfig

CONFIG = EvaluationConfig(data="digits", splits={"test": 2, "bnfree": 1}, predefined=False, images=8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"tests": 1}}, "unknown split 'tests'; there are train, val, test"),
        ({"splits": {"wide": 101}}, r"wide has 1\.\.100 networks to evaluate, not 101"),
        ({"images": 1}, r"images must be at least 2 \(batch norms need them\), not 1; leave it out for all"),
        ({"splits": {}}, "no network to evaluate: ask for models, for some of a split, or for the predefined ones"),
        ({"starts": ()}, "no start to evaluate"),
        ({"starts": ("ghn", "ghn")}, "the start 'ghn' is named twice; leave one out"),
        ({"models": ("resnet18", "resnet18")}, "the model 'resnet18' is named twice"),
        ({"starts": ("defautl",)}, "unknown initialiser 'defautl'; did you mean default"),
        ({"batch_norm": "none"}, "batch_norm must be batch or running, not 'none'"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def test_how_many_networks() -> None:
    assert CONFIG.count == 3
    assert EvaluationConfig().count == 182
    assert replace(CONFIG, models=("a", "b"), splits={}).count == 2


def test_what_a_resumed_evaluation_may_change() -> None:
    moved = replace(CONFIG, data_root="elsewhere", image_workers=2)
    assert moved.identity() == CONFIG.identity()
    assert replace(CONFIG, seed=1).identity() != CONFIG.identity()
