"""The step of any training, shown on a linear model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.training.config import TrainingConfig
from ghn.training.ranks import Ranks
from ghn.training.schedule import learning_rate_factor
from ghn.training.trainer import NonFiniteError, Trainer
from tests.training.linear import (
    ROWS,
    LinearStepper,
    Rows,
    assert_same,
    linear_trainer,
    rows,
    squared_errors,
    stepper_of,
    weights,
)

CONFIG = TrainingConfig(steps=8, learning_rate=0.01, warmup=0.0, clip=None, max_nonfinite=3)
BAD = (rows(0)[0] * torch.nan, rows(0)[1])

BY_HAND: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda given: torch.optim.AdamW(given, betas=(0.8, 0.95), weight_decay=0.1),
    "adam": lambda given: torch.optim.Adam(given, betas=(0.8, 0.95), weight_decay=0.1),
    "sgd": lambda given: torch.optim.SGD(given, momentum=0.7, weight_decay=0.1),
}


@pytest.mark.parametrize("optimizer", BY_HAND)
@pytest.mark.parametrize("changes", [{}, {"warmup": 0.3, "schedule": "steps"}, {"clip": 0.5, "schedule": "constant"}])
def test_steps_are_those_of_pytorch_with_schedule_and_clipping_by_hand(optimizer: str, changes: dict[str, Any]) -> None:
    config = replace(CONFIG, optimizer=optimizer, betas=(0.8, 0.95), momentum=0.7, weight_decay=0.1, **changes)  # type: ignore[arg-type]
    trainer = linear_trainer(config)
    other = LinearStepper().module
    update = BY_HAND[optimizer](other.parameters())
    for step in range(config.steps):
        report = trainer.step(rows(step))
        update.zero_grad()
        loss = squared_errors(other, *rows(step)).mean()
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in other.parameters() if p.grad is not None])
        if config.clip is not None:
            assert gradient.norm() > config.clip
            nn.utils.clip_grad_norm_(other.parameters(), config.clip)
        rate = 0.01 * learning_rate_factor(step / 8, warmup=config.warmup, form=config.schedule)
        update.param_groups[0]["lr"] = rate
        update.step()
        assert report.loss == pytest.approx(loss.item(), rel=1e-5)
        assert report.means["size"] == pytest.approx(float(rows(step)[0].norm(dim=1).mean()), rel=1e-5)
        assert report.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-5)
        assert report.learning_rate == pytest.approx(rate)
    for name, wanted in other.state_dict().items():
        torch.testing.assert_close(weights(trainer)[name], wanted, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("partial", [False, True])
def test_only_where_a_step_may_be_partial_do_unused_parameters_decay(partial: bool) -> None:
    trainer = linear_trainer(replace(CONFIG, weight_decay=0.5), partial=partial)
    before = weights(trainer)["unused.weight"]
    for step in range(2):
        trainer.step(rows(step))
    gradient = trainer.stepper.module.get_submodule("unused").weight.grad
    if not partial:
        assert gradient is None
        assert torch.equal(weights(trainer)["unused.weight"], before)
        return
    assert isinstance(gradient, Tensor)
    assert not gradient.any()
    torch.testing.assert_close(
        weights(trainer)["unused.weight"], before * (1 - 0.01 * 0.5) * (1 - trainer_rate(1) * 0.5)
    )


def trainer_rate(step: int) -> float:
    return 0.01 * learning_rate_factor(step / 8, warmup=0.0, form="cosine")


def test_several_ranks_have_every_gradient_to_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that lacked memory for all it had must still take part in the sum, with as many numbers."""
    summed: list[int] = []
    monkeypatch.setattr(Ranks, "sum", lambda _, tensors: summed.append(sum(tensor.numel() for tensor in tensors)))
    trainer = linear_trainer(CONFIG, ranks=Ranks(world=2))
    for stepper_of(trainer).lacking in (0, ROWS):
        trainer.step(rows(0))
    assert summed[0] == summed[1] > sum(parameter.numel() for parameter in trainer.parameters)


def test_frozen_parameters_stay() -> None:
    stepper = LinearStepper(partial=True)
    stepper.module.get_submodule("used.0").requires_grad_(False)
    trainer = Trainer(CONFIG, stepper)
    before = weights(trainer)
    trainer.step(rows(0))
    changed = {name for name, value in weights(trainer).items() if not torch.equal(value, before[name])}
    assert changed == {"used.2.weight", "used.2.bias", "unused.weight", "unused.bias"}


@pytest.mark.parametrize("lacking", [1, ROWS - 1])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_units_without_memory_leave_the_mean_of_the_others(lacking: int, precision: str) -> None:
    config = replace(CONFIG, precision=precision, clip=0.1)  # type: ignore[arg-type]
    trainer, other = linear_trainer(config), linear_trainer(config)
    stepper_of(trainer).lacking = lacking
    report = trainer.step(rows(0))
    assert (report.units, report.out_of_memory, report.finite) == (ROWS - lacking, lacking, True)
    stepper_of(other).units = ROWS - lacking
    inputs, wanted = rows(0)
    theirs = other.step((inputs[lacking:], wanted[lacking:]))
    assert theirs.out_of_memory == 0
    assert (report.loss, report.means["size"]) == (theirs.loss, theirs.means["size"])
    assert report.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-5)
    for mine, value in zip(trainer.parameters, other.parameters, strict=True):
        torch.testing.assert_close(mine, value, rtol=1e-5, atol=1e-6)
    stepper_of(trainer).lacking = 0
    assert trainer.step(rows(1)).out_of_memory == 0
    again = linear_trainer(config)
    again.load_state_dict(trainer.state_dict())
    assert again.out_of_memory == trainer.out_of_memory == lacking


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_step_without_any_unit_is_skipped(precision: str, partial: bool) -> None:
    trainer = linear_trainer(replace(CONFIG, precision=precision), partial=partial)  # type: ignore[arg-type]
    before, scale = weights(trainer), trainer.scaler.get_scale()
    stepper_of(trainer).lacking = ROWS
    report = trainer.step(rows(0), norms=True)
    assert (report.units, report.out_of_memory, report.finite, report.update_norm) == (0, ROWS, False, 0.0)
    assert (trainer.skipped, trainer.scaler.get_scale()) == (1, scale)
    assert_same(weights(trainer), before)
    stepper_of(trainer).lacking = 0
    assert trainer.step(rows(1)).finite


def test_a_step_that_is_not_finite_changes_nothing_but_its_counts() -> None:
    trainer, other = linear_trainer(CONFIG), linear_trainer(CONFIG)
    for given in (trainer, other):
        given.step(rows(0))
    before = trainer.optimizer.state_dict()["state"][0]["exp_avg"].clone()
    assert not trainer.step(BAD, norms=True).finite
    assert (trainer.skipped, trainer.nonfinite_in_a_row, trainer.step_count) == (1, 1, 2)
    assert_same(weights(trainer), weights(other))
    assert torch.equal(trainer.optimizer.state_dict()["state"][0]["exp_avg"], before)
    assert trainer.step(rows(2)).finite
    assert (trainer.skipped, trainer.nonfinite_in_a_row) == (1, 0)


@pytest.mark.parametrize("what", ["loss", "size", "gradient"])
def test_any_sum_or_gradient_that_is_not_finite_skips_the_step(what: str) -> None:
    trainer = linear_trainer(replace(CONFIG, clip=1.0))
    before = weights(trainer)
    real = trainer.stepper.gradient

    def spoilt(work: Rows, tally: Any) -> None:
        real(work, tally)
        if what == "gradient":
            gradient = trainer.parameters[-3].grad
            assert gradient is not None
            gradient[0] = torch.inf
        else:
            tally.values[tally.names.index(what)] = torch.nan

    trainer.stepper.gradient = spoilt  # type: ignore[method-assign]
    assert not trainer.step(rows(0)).finite
    assert_same(weights(trainer), before)


def test_bad_steps_in_a_row_end_it_also_when_a_resume_lies_between() -> None:
    trainer = linear_trainer(CONFIG)
    for work in (BAD, BAD, rows(2), BAD, BAD):
        trainer.step(work)
    again = linear_trainer(CONFIG)
    again.load_state_dict(trainer.state_dict())
    assert (again.nonfinite_in_a_row, again.skipped) == (2, 4)
    with pytest.raises(NonFiniteError, match=r"^3 steps in a row up to step 6 were not finite; lower learning_rate"):
        again.step(BAD)


def test_the_message_says_what_to_do_where_memory_was_lacking() -> None:
    trainer = linear_trainer(replace(CONFIG, max_nonfinite=1))
    stepper_of(trainer).lacking = ROWS
    with pytest.raises(NonFiniteError, match=r"\(4 rows lacked memory: take fewer rows\)$"):
        trainer.step(rows(0))


def test_overflow_halves_the_loss_scale_and_costs_the_step() -> None:
    trainer = linear_trainer(replace(CONFIG, precision="float16"))
    before, scale = weights(trainer), trainer.scaler.get_scale()
    assert scale > 1
    trainer.step((rows(0)[0] * torch.inf, rows(0)[1]))
    assert (trainer.scaler.get_scale(), trainer.skipped, trainer.step_count) == (scale / 2, 1, 1)
    assert_same(weights(trainer), before)
    assert trainer.step(rows(1)).finite
    assert trainer.scaler.get_scale() == scale / 2


def test_the_loss_scale_does_not_change_the_step() -> None:
    found = []
    for precision in ("float32", "float16"):
        trainer = linear_trainer(replace(CONFIG, precision=precision, clip=0.1))  # type: ignore[arg-type]
        found.append((trainer.step(rows(0)).gradient_norm, weights(trainer)))
    assert_same(*found)


def test_the_loss_scale_is_part_of_the_state() -> None:
    half = replace(CONFIG, precision="float16")
    trainer = linear_trainer(half)
    trainer.step(BAD)
    trainer.step(rows(1))
    again = linear_trainer(half)
    again.load_state_dict(trainer.state_dict())
    assert again.scaler.state_dict() == trainer.scaler.state_dict()
    assert (again.scaler.get_scale(), again.scaler.state_dict()["_growth_tracker"]) == (2.0**15, 1)
    # A run may go on in another precision, and come back.
    plain = linear_trainer(CONFIG)
    plain.load_state_dict(trainer.state_dict())
    fresh = linear_trainer(half)
    fresh.load_state_dict(plain.state_dict())
    assert fresh.scaler.get_scale() == 2.0**16


def test_norms_are_those_of_parameters_and_their_change() -> None:
    trainer, before = linear_trainer(CONFIG), linear_trainer(CONFIG)
    report = trainer.step(rows(0), norms=True)
    now, then = (torch.cat([p.detach().flatten() for p in each.parameters]) for each in (trainer, before))
    assert report.parameter_norm == pytest.approx(float(now.norm()), rel=1e-6)
    assert report.update_norm == pytest.approx(float((now - then).norm()), rel=1e-5)
    assert float((now - then).norm()) > 0
    quiet = trainer.step(rows(1))
    assert (quiet.parameter_norm, quiet.update_norm) == (None, None)


def test_seconds_of_the_parts_are_reported_where_asked_for() -> None:
    trainer = linear_trainer(CONFIG)
    timed = trainer.step(rows(0)).seconds
    assert list(timed) == ["pass", "optimizer"]
    assert all(seconds > 0 for seconds in timed.values())
    assert trainer.step(rows(1), timed=False).seconds == {}


@pytest.mark.parametrize("before", [0.0, 1e7])
def test_the_clock_counts_what_lies_between_two_steps_however_long_it_has_run(before: float) -> None:
    trainer, began = linear_trainer(CONFIG), time.perf_counter()
    trainer.step(rows(0))
    trainer.elapsed = before
    for step in range(3):
        time.sleep(0.02)
        trainer.step(rows(step))
    assert 0.06 <= trainer.elapsed - before <= time.perf_counter() - began


def test_time_goes_on_from_the_state_and_is_the_mean_of_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    state = linear_trainer(CONFIG).state_dict() | {"elapsed": 100.0}
    monkeypatch.setattr(Ranks, "sum", lambda _, tensors: tensors[-1].mul_(2))
    trainer = linear_trainer(CONFIG, ranks=Ranks(world=2))
    trainer.load_state_dict(state)
    trainer._elapsed_at -= 50.0
    assert 150 <= trainer.step(rows(0)).elapsed < 160
    assert trainer.elapsed >= 150


@pytest.mark.parametrize(
    ("minutes", "elapsed", "step", "progress"),
    [(None, 9e9, 4, 0.5), (2.0, 60.0, 1, 0.5), (2.0, 0.0, 4, 0.5), (2.0, 121.0, 0, 1.0), (None, 0.0, 9, 1.0)],
)
def test_progress_by_steps_or_by_the_clock(minutes: float | None, elapsed: float, step: int, progress: float) -> None:
    trainer = linear_trainer(replace(CONFIG, minutes=minutes))
    trainer.elapsed, trainer.step_count = elapsed, step
    assert trainer.progress == pytest.approx(progress)
    assert trainer.step(rows(0)).learning_rate == pytest.approx(
        0.01 * learning_rate_factor(progress, warmup=0.0, form="cosine"), rel=1e-6, abs=1e-12
    )
