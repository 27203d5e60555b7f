"""Comparisons as users run them: against fine-tunings by hand, stopped, killed, and in several processes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.comparison import Comparison, compare
from ghn.comparison.cell import CellResult, Task
from ghn.finetuning import finetune
from ghn.training.state import StateError
from tests.comparison.models import CONFIG, build, images
from tests.warm import Program

pytest.importorskip("sklearn")


def numbers(found: Comparison) -> list[CellResult]:
    """Cells without what differs from one run to the next."""
    return [replace(cell, cost=0.0, step_seconds=0.0) for cell in found.cells]


@pytest.fixture(scope="module")
def whole() -> Comparison:
    return compare(CONFIG, data=images(), build=build)


def test_each_cell_is_a_fine_tuning_from_its_start_and_seed(whole: Comparison) -> None:
    assert [(cell.init, cell.seed) for cell in whole.cells] == [
        ("default", 0), ("default", 1), ("orthogonal+statistics", 0), ("orthogonal+statistics", 1)
    ]  # fmt: skip
    torch.manual_seed(1)
    model = build(CONFIG, 10)
    by_hand = finetune(model, images(), CONFIG.cell("orthogonal+statistics", 1))
    cell = whole.cells[3]
    assert cell.steps == (0, 4, 8)
    assert list(cell.accuracies) == [point.accuracy for point in by_hand.history]
    assert cell.learning_rate == by_hand.learning_rate
    assert set(cell.scores) == {"0.05", "0.2"}
    assert cell.step_seconds > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 6}, "holds a comparison with steps 8, not 6; take another folder"),
        ({"augment": "none"}, "holds a comparison with augment crop, not none"),
        ({"model": "other"}, "holds a comparison with model .*, not other"),
    ],
)
def test_a_folder_of_another_comparison_stays_as_it_is(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    config = replace(CONFIG, inits=("default",), seeds=1)
    compare(config, tmp_path, data=images(), build=build)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    if "model" in change:
        other = replace(config, **change)
    else:
        other = replace(config, training=replace(config.training, **change))
    with pytest.raises(StateError, match=said):
        compare(other, tmp_path, data=images(), build=build)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    (tmp_path / "comparison.json").write_text("[")
    with pytest.raises(StateError, match=r"comparison.json cannot be read .*; take another folder"):
        compare(config, tmp_path, data=images(), build=build)


def test_what_an_earlier_version_did_not_know_has_its_default(tmp_path: Path) -> None:
    config = replace(CONFIG, inits=("default",), seeds=1)
    compare(config, tmp_path, data=images(), build=build)
    file = tmp_path / "comparison.json"
    record = json.loads(file.read_text())
    del record["training"]["mixup"]
    file.write_text(json.dumps(record))
    seen: list[CellResult] = []
    compare(config, tmp_path, data=images(), build=build, progress=lambda cell, *_: seen.append(cell))
    assert len(seen) == 1


def test_the_same_seed_means_the_same_network_for_every_start() -> None:
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    config = replace(CONFIG, inits=("default", "default+noise:0"), seeds=1)
    found = compare(config, data=images(), build=build)
    first, second = found.cells
    assert first.accuracies == second.accuracies
    assert torch.equal(torch.rand(1), before), "the process's random numbers are not touched"


def test_what_is_there_is_not_done_again_and_more_can_be_asked_for(
    whole: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(replace(CONFIG, seeds=1), tmp_path, data=images(), build=build)
    done: list[tuple[str, int]] = []
    real = Task.run

    def counted(task: Task, init: str, seed: int, **options: Any) -> CellResult:
        done.append((init, seed))
        return real(task, init, seed, **options)

    monkeypatch.setattr(Task, "run", counted)
    found = compare(CONFIG, tmp_path, data=images(), build=build)
    assert done == [("default", 1), ("orthogonal+statistics", 1)]
    assert numbers(found) == numbers(whole)
    assert json.loads((tmp_path / "result.json").read_text())["complete"] is True


@pytest.mark.slow
def test_two_workers_give_the_numbers_of_one(whole: Comparison, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = compare(
        CONFIG, tmp_path, data=images(), build=build, workers=2,
        progress=lambda _, done, count: seen.append((done, count)),
    )  # fmt: skip
    assert numbers(found) == numbers(whole)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_start_that_diverges_leaves_the_others_their_results() -> None:
    config = replace(CONFIG, inits=("default", "default+noise:1e30"), seeds=1)
    default, noise = compare(config, data=images(), build=build).rows()
    assert default.steps == (0, 4, 8)
    assert not noise.steps
    assert "finite" in noise.errors[0] or "diverge" in noise.errors[0]


def test_no_result_at_all_is_an_error() -> None:
    config = replace(CONFIG, inits=("default+noise:1e30",), seeds=1)
    with pytest.raises(ValueError, match="no start gave a result; default"):
        compare(config, data=images(), build=build)


def test_a_model_that_is_not_there_is_found_out_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean resnet18"):
        compare(replace(CONFIG, model="resnet81"), tmp_path / "runs", data=images())
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ValueError, match="workers must be at least 1"):
        compare(CONFIG, data=images(), build=build, workers=0)


SCRIPT = """
import sys
from ghn.comparison import compare
from tests.comparison.models import CONFIG, build, images
if __name__ == "__main__":
    print("ready", flush=True)
    compare(CONFIG, sys.argv[1], data=images(), build=build, workers=int(sys.argv[2]))
"""


def start(tmp_path: Path, workers: int) -> Program:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    process = Program(SCRIPT, str(tmp_path / "runs"), str(workers), file=tmp_path / "script.py", env=environment)
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for_a_training(tmp_path: Path) -> None:
    end = time.monotonic() + 60
    while not list((tmp_path / "runs").glob("*/*/training-*")):
        assert time.monotonic() < end, "no training began"
        time.sleep(0.02)


def cells_there(tmp_path: Path) -> int:
    return len(list((tmp_path / "runs").glob("*/*/cell.json")))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_it_loses_no_finished_part_and_changes_no_number(
    whole: Comparison, tmp_path: Path, workers: int
) -> None:
    chance = random.Random(workers)
    for _ in range(2):
        process = start(tmp_path, workers)
        time.sleep(chance.uniform(0.2, 3.0))
        before = cells_there(tmp_path)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert cells_there(tmp_path) >= before
    found = compare(CONFIG, tmp_path / "runs", data=images(), build=build)
    assert numbers(found) == numbers(whole)


@pytest.mark.slow
def test_workers_end_when_the_process_that_started_them_was_killed(whole: Comparison, tmp_path: Path) -> None:
    process = start(tmp_path, 2)
    wait_for_a_training(tmp_path)
    process.kill()
    process.communicate()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            found = compare(CONFIG, tmp_path / "runs", data=images(), build=build)
        except StateError:
            time.sleep(0.2)
            continue
        break
    assert numbers(found) == numbers(whole)


@pytest.mark.slow
def test_sigint_to_the_job_ends_it_in_order(whole: Comparison, tmp_path: Path) -> None:
    process = start(tmp_path, 2)
    wait_for_a_training(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 or cells_there(tmp_path) == 4
    if process.returncode:
        assert "InterruptedComparisonError" in errors
        assert "the same command goes on" in errors
    assert numbers(compare(CONFIG, tmp_path / "runs", data=images(), build=build)) == numbers(whole)
