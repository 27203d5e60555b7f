"""From a trainer to a run, shown on a linear model."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.common.progress import Bar
from ghn.training import loop as loop_module
from ghn.training.config import TrainingConfig
from ghn.training.loop import Loop, Validation
from ghn.training.state import StateError, load_state, save_state
from ghn.training.trainer import NonFiniteError, StepReport, Trainer
from tests.training.linear import ROWS, Rows, assert_same, linear_trainer, stepper_of, weights, works

CONFIG = TrainingConfig(
    steps=6, learning_rate=0.05, warmup=0.0, clip=None, save_every=100, log_every=1, max_nonfinite=3
)
NOTHING = Validation(values={}, line="nothing")


def make(config: TrainingConfig, folder: Path | None) -> Loop[Rows]:
    """With a model that draws from the process's random state."""
    return Loop(linear_trainer(config, dropout=0.5), folder, bar=Bar())


def run(config: TrainingConfig, folder: Path | None, bad: Any = lambda _: False, **options: Any) -> Trainer[Rows]:
    made = make(config, folder)
    made.go(works(bad=bad), **options)
    return made.trainer


def state_of(folder: Path) -> dict[str, Any]:
    state = load_state(folder)
    assert state is not None
    return state


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def logged(folder: Path) -> list[tuple[int, float | None, int]]:
    return [(entry["step"], entry["loss"], entry["skipped"]) for entry in log_of(folder)]


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "sgd"}, {"precision": "float16", "clip": 0.5, "schedule": "steps"}]
)
@pytest.mark.parametrize("cut", range(1, 6))
def test_a_run_stopped_after_any_step_goes_on_bit_for_bit(tmp_path: Path, cut: int, changes: dict[str, Any]) -> None:
    config = replace(CONFIG, **changes)
    whole = run(config, tmp_path / "whole", bad=lambda step: step == 2)
    assert whole.skipped == 1
    run(config, tmp_path / "parts", bad=lambda step: step == 2, stop_after=cut)
    assert state_of(tmp_path / "parts")["step"] == cut
    torch.rand(7)
    parts = run(config, tmp_path / "parts", bad=lambda step: step == 2)
    assert_same(state_of(tmp_path / "whole"), state_of(tmp_path / "parts"))
    assert_same(weights(whole), weights(parts))
    assert stepper_of(parts).seen == stepper_of(whole).seen == 6 * ROWS
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")


def test_what_is_logged_saved_and_validated_does_not_change_the_training(tmp_path: Path) -> None:
    def draw() -> Validation:
        torch.rand(3)
        return Validation(values={"drawn": 1.0}, line="drawn")

    plain = run(CONFIG, None)
    busy = replace(CONFIG, log_every=2, save_every=1, validate_every=2)
    often = replace(CONFIG, log_every=3, save_every=3, validate_every=1)
    for name, config in (("busy", busy), ("often", often)):
        assert_same(weights(plain), weights(run(config, tmp_path / name, validate=draw)))
    # Stopped at a step with a validation, which is after the save and is not made again.
    run(busy, tmp_path / "cut", validate=draw, stop_after=2)
    assert_same(weights(plain), weights(run(busy, tmp_path / "cut", validate=draw)))


@pytest.mark.parametrize(("every", "steps"), [(0, []), (1, [1, 2, 3, 4, 5, 6]), (4, [4]), (3, [3, 6]), (7, [])])
def test_validation_comes_every_so_many_steps(tmp_path: Path, every: int, steps: list[int]) -> None:
    made, called = make(replace(CONFIG, validate_every=every, log_every=100), tmp_path), []

    def validate() -> Validation:
        called.append(made.trainer.step_count)
        return Validation(values={"right": 0.5} if len(called) % 2 else {}, line="half is right")

    made.go(works(), validate=validate)
    assert called == steps
    if steps:
        assert log_of(tmp_path) == [{"step": step, "right": 0.5} for step in steps[::2]]
    if every == 3:
        # On resuming they stay where they were.
        made, called = make(replace(CONFIG, validate_every=3, steps=9), tmp_path), []
        made.go(works(), validate=validate)
        assert called == [9]


def test_a_run_that_is_to_be_validated_may_come_without_a_validation(tmp_path: Path) -> None:
    assert run(replace(CONFIG, validate_every=1), tmp_path).step_count == 6


def test_log_lines_are_means_over_their_steps(tmp_path: Path) -> None:
    reports: list[StepReport] = []

    def slow_at_first_and_bad_at_1(step: int) -> bool:
        time.sleep(0.1 if step < 3 else 0.0)
        return step == 1

    run(replace(CONFIG, log_every=3), tmp_path, bad=slow_at_first_and_bad_at_1, after_step=reports.append)
    first, second = log_of(tmp_path)
    assert (first["step"], second["step"], first["skipped"], second["skipped"]) == (3, 6, 1, 1)
    assert first["loss"] == pytest.approx((reports[0].loss + reports[2].loss) / 2)
    assert second["size"] == pytest.approx(sum(report.means["size"] for report in reports[3:]) / 3)
    assert second["learning_rate"] == reports[5].learning_rate
    assert second["update_norm"] == reports[5].update_norm
    # Seconds are those of a step.
    assert second["seconds_pass"] == pytest.approx(sum(report.seconds["pass"] for report in reports[3:]) / 3)
    assert first["seconds_data"] >= 0.1 > second["seconds_data"] >= 0


def test_a_line_over_nothing_but_bad_steps_has_no_loss(tmp_path: Path) -> None:
    run(CONFIG, tmp_path, bad=lambda step: step == 1)
    assert [entry["loss"] is None for entry in log_of(tmp_path)] == [False, True, False, False, False, False]
    assert log_of(tmp_path)[1]["gradient_norm"] is None


def test_what_a_crash_left_after_the_last_save_is_made_and_logged_again(tmp_path: Path) -> None:
    class CrashError(Exception):
        pass

    def crash(report: StepReport) -> None:
        if len(log_of(folder) if (folder / "log.jsonl").exists() else ()) == 4:
            raise CrashError

    config, folder = replace(CONFIG, save_every=2), tmp_path / "crashed"
    run(config, tmp_path / "whole")
    with pytest.raises(CrashError):
        run(config, folder, after_step=crash)
    assert (state_of(folder)["step"], len(log_of(folder))) == (4, 4)
    with open(folder / "log.jsonl", "a") as log:
        log.write('{"step": 5, "loss": 99, "skipped": 0}\n{"step": 6, "lo')
    (folder / ".state.pt.0.partial").touch()
    run(config, folder)
    assert logged(folder) == logged(tmp_path / "whole")
    assert_same(state_of(folder), state_of(tmp_path / "whole"))
    assert not (folder / ".state.pt.0.partial").exists()


def test_bad_steps_in_a_row_are_counted_over_a_resume(tmp_path: Path) -> None:
    run(CONFIG, tmp_path, bad=lambda step: step >= 1, stop_after=3)
    assert state_of(tmp_path)["nonfinite_in_a_row"] == 2
    with pytest.raises(NonFiniteError, match="3 steps in a row up to step 4"):
        run(CONFIG, tmp_path, bad=lambda step: step >= 1)


def test_a_run_ended_by_bad_steps_leaves_its_last_good_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NonFiniteError):
        run(replace(CONFIG, save_every=1), tmp_path, bad=lambda step: step >= 2)
    assert (state_of(tmp_path)["step"], state_of(tmp_path)["nonfinite_in_a_row"]) == (2, 0)
    assert "step 4 was not finite and is skipped (2 so far)" in capsys.readouterr().err
    # With rows that are finite, the same command goes on.
    assert run(replace(CONFIG, save_every=1), tmp_path).step_count == 6


def test_a_length_in_minutes_ends_the_run_also_on_resuming(tmp_path: Path) -> None:
    timed = replace(CONFIG, minutes=1.0)
    made = make(timed, tmp_path)

    def late(report: StepReport) -> None:
        made.trainer._elapsed_at -= 25.0

    made.go(works(), after_step=late)
    # The third reading is at 50 s, the fourth at 75 s.
    assert made.trainer.step_count == 4
    assert 75 <= state_of(tmp_path)["elapsed"] < 90
    assert run(timed, tmp_path).step_count == 4
    assert run(replace(timed, minutes=2.0), tmp_path).step_count == 6


def test_without_a_folder_nothing_is_left_and_signals_keep_their_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    def check(report: StepReport) -> None:
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before

    assert run(replace(CONFIG, save_every=1), None, after_step=check).step_count == 6
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step_which_is_saved(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    made = make(CONFIG, tmp_path / "run")

    def send(report: StepReport) -> None:
        if made.trainer.step_count == 2:
            os.kill(os.getpid(), number)

    made.go(works(), after_step=send)
    assert signal.getsignal(number) == before
    assert made.trainer.stop_requested
    assert state_of(tmp_path / "run")["step"] == made.trainer.step_count == 3
    assert_same(weights(run(CONFIG, tmp_path / "run")), weights(run(CONFIG, None)))


def test_in_another_thread_no_signal_handler_is_installed(tmp_path: Path) -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []
    options = {"after_step": lambda _: seen.append(signal.getsignal(signal.SIGTERM))}
    thread = threading.Thread(target=run, args=(CONFIG, tmp_path), kwargs=options)
    thread.start()
    thread.join()
    assert seen == [before] * 6
    assert state_of(tmp_path)["step"] == 6


def test_a_state_that_cannot_be_written_is_reported_and_the_last_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, failing = loop_module.save_state, {2, 4, 6}

    def save(folder: Path, state: dict[str, Any]) -> None:
        if state["step"] in failing:
            raise OSError(28, "No space left on device")
        real(folder, state)

    monkeypatch.setattr(loop_module, "save_state", save)
    with pytest.raises(OSError, match=r"^state of step 6 not saved .* that of step 5 stays: free some space$"):
        run(replace(CONFIG, save_every=1), tmp_path)
    said = capsys.readouterr().err
    assert "state of step 2 not saved" in said
    assert "that of step 1 stays" in said
    assert state_of(tmp_path)["step"] == 5
    failing.clear()
    assert run(CONFIG, tmp_path).step_count == 6


def test_the_end_is_not_written_twice_nor_is_a_finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, saved = loop_module.save_state, []

    def save(folder: Path, state: dict[str, Any]) -> None:
        saved.append(state["step"])
        real(folder, state)

    monkeypatch.setattr(loop_module, "save_state", save)
    run(replace(CONFIG, save_every=3), tmp_path)
    assert saved == [3, 6]
    assert run(replace(CONFIG, save_every=3), tmp_path).step_count == 6
    assert saved == [3, 6]


def test_only_the_same_run_goes_on(tmp_path: Path) -> None:
    run(CONFIG, tmp_path, stop_after=2)
    before = (tmp_path / "config.json").read_bytes()
    for changes, message in (
        ({"weight_decay": 0.5}, r"holds a run with weight_decay=0\.01, not 0\.5; take another folder, or that value"),
        ({"betas": (0.9, 0.99)}, r"holds a run with betas=\(0\.9, 0\.999\), not \(0\.9, 0\.99\)"),
        ({"steps": 1}, "has made 2 steps, more than 1; ask for more steps"),
    ):
        with pytest.raises(StateError, match=message):
            make(replace(CONFIG, **changes), tmp_path)  # type: ignore[arg-type]
        assert (tmp_path / "config.json").read_bytes() == before
    other = replace(CONFIG, learning_rate=0.01, steps=3)
    assert run(other, tmp_path).step_count == 3
    assert TrainingConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == other


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "config",
            {"nonsense": 1},
            "another configuration .*no field 'nonsense'.*; take another folder",
        ),
        ("config", 7, "holds a run with another configuration"),
        ("optimizer", {}, r"holds a state that does not fit its run \(.*\); take another folder"),
        ("random_state", torch.zeros(3), "holds a state that does not fit its run"),
        ("scaler", 7, "holds a state that does not fit its run"),
    ],
)
def test_a_state_with_wrong_content_is_one_line(tmp_path: Path, key: str, value: Any, message: str) -> None:
    run(replace(CONFIG, precision="float16"), tmp_path, stop_after=2)
    save_state(tmp_path, {**state_of(tmp_path), key: value})
    with pytest.raises(StateError, match=message) as caught:
        make(replace(CONFIG, precision="float16"), tmp_path)
    assert "\n" not in str(caught.value)


def test_work_that_ends_early_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="there is no work for step 3 of 6"):
        make(CONFIG, tmp_path).go(lambda first, last: works()(first, 2))


def test_what_a_validation_leaves_is_part_of_the_state_of_its_step(tmp_path: Path) -> None:
    made, seen = make(replace(CONFIG, save_every=2, validate_every=2), tmp_path), []

    def validate() -> Validation:
        current = load_state(tmp_path)
        seen.append((made.trainer.step_count, current and current["step"]))
        return NOTHING

    made.go(works(), validate=validate)
    assert seen == [(2, None), (4, 2), (6, 4)]


def test_the_bar_moves_each_step_and_on_from_one_part_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[tuple[float, str, str]] = []
    monkeypatch.setattr("ghn.common.progress.Bar.move", lambda _, *given: moves.append(given))
    for index in range(2):
        trainer = linear_trainer(replace(CONFIG, log_every=4))
        Loop(trainer, None, bar=Bar(), title="x", part=(index, 2)).go(works())
    # Also before the first step, which may take long.
    assert [(share, count) for share, count, _ in moves] == [
        (pytest.approx((index + step / 6) / 2), f"{step}/6") for index in range(2) for step in range(7)
    ]
    assert [text for _, _, text in moves[::7]] == ["x the first step"] * 2
    assert all(text.startswith("x loss ") for index, (_, _, text) in enumerate(moves) if index % 7)


def test_a_run_says_what_its_bar_lets_it_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, bar in (("none", None), ("quiet", Bar(quiet=True))):
        Loop(linear_trainer(CONFIG), tmp_path / name, bar=bar).go(works())
        assert capsys.readouterr().err == ""
    Loop(linear_trainer(CONFIG), tmp_path / "bar", bar=Bar()).go(works())
    assert "training from step 0 on" in capsys.readouterr().err


def test_other_processes_than_the_first_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = linear_trainer(CONFIG)
    trainer.ranks = replace(trainer.ranks, rank=1)
    assert Loop(trainer, None, bar=Bar()).bar._quiet
