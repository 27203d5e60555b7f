"""The moving average of weights, against its recursion by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ghn.training.config import TrainingConfig
from ghn.training.loop import Loop
from tests.training.linear import assert_same, linear_trainer, rows, weights, works

CONFIG = TrainingConfig(steps=12, learning_rate=0.05, warmup=0.0, average=0.5, log_every=100)


def test_the_recursion() -> None:
    trainer = linear_trainer(CONFIG)
    assert trainer.average is not None
    expected = weights(trainer)
    for step in range(1, 13):
        trainer.step(rows(step))
        decay = min(0.5, (step - 1) / (step + 8))
        for name, value in weights(trainer).items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    # Both forms of the decay had their turn.
    assert (12 - 1) / (12 + 8) > 0.5 > (2 - 1) / (2 + 8)
    for name, value in trainer.average.module.state_dict().items():
        torch.testing.assert_close(value, expected[name])
        assert not name.startswith("used") or not torch.equal(value, weights(trainer)[name])


def test_a_skipped_step_leaves_it() -> None:
    trainer = linear_trainer(CONFIG)
    trainer.step(rows(0))
    assert trainer.average is not None
    before = {name: value.clone() for name, value in trainer.average.state_dict().items()}
    inputs, wanted = rows(1)
    assert not trainer.step((inputs * torch.nan, wanted)).finite
    assert_same(dict(trainer.average.state_dict()), before)


@pytest.mark.parametrize("average", [0.9, None])
def test_a_resumed_run_has_the_same(tmp_path: Path, average: float | None) -> None:
    config = replace(CONFIG, average=average)
    states = []
    for folder, stops in ((tmp_path / "whole", (None,)), (tmp_path / "parts", (5, None))):
        for stop in stops:
            trainer = linear_trainer(config)
            Loop(trainer, folder).go(works(), stop_after=stop)
        states.append(trainer.state_dict())
    assert ("average" in states[0]) is (average is not None)
    assert_same(*states)
