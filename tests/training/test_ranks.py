"""Several processes train what one process trains."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ghn
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.run import train
from ghn.training import ranks
from ghn.training.ranks import RankLostError, Ranks
from ghn.training.state import StateError, load_state
from tests.meta.tiny import TINY
from tests.processes import finish, group
from tests.warm import Program

CONFIG = replace(
    TINY,
    meta_batch=3,
    images=4,
    steps=3,
    save_every=1,
    learning_rate=1e-3,
)

PROGRAM = """
import json, sys
import torch
import ghn.meta.stepper as meta_training
from ghn.meta.config import MetaTrainingConfig
from ghn.training.ranks import RankLostError
from ghn.meta.run import train

config, folder = MetaTrainingConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2]
stop_after, lacking, overflowing = map(json.loads, sys.argv[3:])
place = []
seed, gradients = meta_training.MetaStepper._seed, meta_training.target_gradients

def remember(stepper, slot, step):
    place[:] = step, stepper.ranks.share(config.meta_batch).start + slot
    seed(stepper, slot, step)

def mistreat(*given, **named):
    if place in lacking:
        raise torch.OutOfMemoryError("CUDA out of memory")
    result = gradients(*given, **named)
    if place in overflowing:
        result.gradients[0].fill_(torch.inf)
    return result

meta_training.MetaStepper._seed, meta_training.target_gradients = remember, mistreat
try:
    train(config, folder, device="cpu", stop_after=stop_after)
except RankLostError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


def start(
    config: MetaTrainingConfig,
    folder: Path,
    *,
    world: int,
    stop_after: int | None = None,
    lacking: Sequence[tuple[int, int]] = (),
    overflowing: Sequence[tuple[int, int]] = (),
) -> list[Program]:
    """The processes that `torchrun` would start; networks named by (step, slot) lack memory, or overflow."""
    words = [json.dumps(config.to_dict()), str(folder), *map(json.dumps, (stop_after, lacking, overflowing))]
    return group(PROGRAM, *words, world=world)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state = load_state(folder)
    assert state is not None
    return state["hypernet"]


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


OBJECTIVES: dict[str, Any] = {"inner_steps": 1, "weight_noise": 0.1}


# Inner steps on two images amplify rounding: weights changed by 1e-7 change the fourth step's gradient norm from 0.16
# to 1.29 on one process, so that three steps are what can be compared.
@pytest.mark.parametrize(
    ("worlds", "settings", "steps", "tolerance"),
    [
        ((3,), {}, 4, 2e-5),
        pytest.param((2, 3), {}, 4, 2e-5, marks=pytest.mark.slow),
        pytest.param((2, 3), OBJECTIVES, 3, 3e-4, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_processes_trains_what_one_trains(
    worlds: tuple[int, ...], settings: dict[str, Any], steps: int, tolerance: float, tmp_path: Path
) -> None:
    """Three share four networks unevenly, perhaps after two; one lacks memory, at the end for all it has."""
    config, lacking = replace(CONFIG, meta_batch=4, steps=steps, **settings), [(1, 3), (steps - 1, 0)]
    alone = start(config, tmp_path / "one", world=1, lacking=lacking)
    for world in worlds[:-1]:
        finish(start(config, tmp_path / "more", world=world, stop_after=2, lacking=lacking))
    finish([*alone, *start(config, tmp_path / "more", world=worlds[-1], lacking=lacking)])
    one, more = weights_of(tmp_path / "one"), weights_of(tmp_path / "more")
    for name, value in one.items():
        torch.testing.assert_close(more[name], value, rtol=1e-4, atol=tolerance, msg=name)
    assert [line["out_of_memory"] for line in log_of(tmp_path / "more")] == [0, *[1] * (steps - 2), 2]
    for first, second in zip(log_of(tmp_path / "one"), log_of(tmp_path / "more"), strict=True):
        named = ("step", "loss", "accuracy", "penalty", "gradient_norm", "learning_rate", "out_of_memory")
        for name in (*named, *(["adapted_loss"] if settings else [])):
            assert first[name] == pytest.approx(second[name], rel=1e-3), name


@pytest.mark.slow
def test_overflow_on_one_process_halves_the_loss_scale_and_costs_the_step_on_all(tmp_path: Path) -> None:
    config = replace(CONFIG, precision="float16")
    alone = start(config, tmp_path / "one", world=1, overflowing=[(1, 2)])
    finish([*alone, *start(config, tmp_path / "two", world=2, overflowing=[(1, 2)])])
    one, two = log_of(tmp_path / "one"), log_of(tmp_path / "two")
    assert [line["skipped"] for line in one] == [line["skipped"] for line in two] == [0, 1, 1]
    # A process that had made the step would have another loss in the one after it.
    assert two[2]["loss"] == pytest.approx(one[2]["loss"], rel=5e-3)
    for folder in ("one", "two"):
        state = load_state(tmp_path / folder)
        assert state is not None
        assert state["scaler"]["scale"] == 2.0**15


def test_a_lost_process_ends_the_others_with_a_clear_line_and_nothing_saved_is_lost(tmp_path: Path) -> None:
    processes = start(replace(CONFIG, steps=10**6), tmp_path, world=2)
    first, second = processes
    while not (tmp_path / "state.pt").exists():
        assert first.poll() is None, first.communicate()[1]
    second.send_signal(signal.SIGKILL)
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert first.returncode == 3
    assert "process 0 of 2 lost another one" in errors[0]
    assert errors[0].strip().splitlines()[-1].endswith("give the same command again to go on from the last save")
    state = load_state(tmp_path)
    assert state is not None
    assert state["step"] >= 1


@pytest.mark.slow
def test_sigterm_to_one_process_stops_all_at_the_same_step(tmp_path: Path) -> None:
    processes = start(replace(CONFIG, steps=10**6), tmp_path, world=2)
    while not (tmp_path / "state.pt").exists():
        assert processes[0].poll() is None, processes[0].communicate()[1]
    processes[1].send_signal(signal.SIGTERM)
    finish(processes)
    state = load_state(tmp_path)
    assert state is not None
    assert state["step"] == log_of(tmp_path)[-1]["step"]


def test_too_few_networks_for_the_processes() -> None:
    with pytest.raises(ValueError, match="2 networks cannot be shared by 3 processes; raise meta_batch"):
        Ranks(rank=0, world=3).share(2)


def test_processes_at_different_steps_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ranks, "gather", lambda _, value: [value, value + 4])
    with pytest.raises(
        StateError, match=r"found states of different steps, 0, 4, in .* must be the same folder for all"
    ):
        train(CONFIG, tmp_path, device="cpu")


@pytest.mark.slow
def test_torchrun_starts_the_command(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["train", "digits-smoke", "--output", str(tmp_path / "run"), "--steps", "4", "--device", "cpu"]
    done = subprocess.run([*torchrun, "-m", "ghn", *words], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 4 steps; the hypernetwork is in") == 1
    state = load_state(tmp_path / "run")
    assert state is not None
    assert state["step"] == 4
    assert ghn.from_pretrained(str(tmp_path / "run" / "hypernet")).config.hidden == 64
    card = (tmp_path / "run" / "hypernet" / "README.md").read_text()
    assert "torchrun --nproc-per-node 2 -m ghn train digits-smoke --steps 4 --device cpu" in card


def test_buckets_hold_every_tensor_once_and_one_type_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "BUCKET", 10)
    sizes = [
        (4, torch.float32),
        (7, torch.float32),
        (2, torch.float32),
        (30, torch.float32),
        (1, torch.float64),
        (0, torch.float64),
    ]
    tensors = [torch.zeros(size, dtype=dtype) for size, dtype in sizes]
    buckets = ranks._buckets(tensors)
    assert [id(tensor) for bucket in buckets for tensor in bucket] == [id(tensor) for tensor in tensors]
    assert all(len({tensor.dtype for tensor in bucket}) == 1 for bucket in buckets)
    assert [len(bucket) for bucket in buckets] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("processes", "cards", "expected"),
    [(3, 3, [0, 1, 2]), (2, 8, [0, 1]), (5, 1, [0] * 5), (5, 2, [0, 0, 0, 1, 1]), (8, 4, [0, 0, 1, 1, 2, 2, 3, 3])],
)
def test_processes_share_the_cards_of_a_machine(processes: int, cards: int, expected: list[int]) -> None:
    assert [ranks.place(rank, processes, cards) for rank in range(processes)] == expected


def test_without_a_card_there_is_no_place() -> None:
    with pytest.raises(ValueError, match="device cuda: PyTorch finds no CUDA device; choose another, or cpu"):
        ranks.place(0, 2, 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is there")
def test_a_card_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ValueError, match="device cuda: PyTorch finds no CUDA device; choose another, or cpu"):
        Ranks.from_environment("cuda")


SPREAD = """
import torch
from ghn.training.ranks import Ranks

import torch.distributed as dist

dist.init_process_group("gloo")
with Ranks.from_environment("cpu") as ranks:
    assert not ranks.owned
    values = [torch.full((2, 3), float(ranks.rank)).t(), torch.tensor(ranks.rank + 7), torch.tensor([ranks.rank == 0])]
    ranks.spread(values)
    assert values[0].tolist() == [[0.0, 0.0]] * 3, values
    assert (int(values[1]), bool(values[2])) == (7, True), values
# A group that was there stays.
dist.barrier()
dist.destroy_process_group()
"""

OWN = """
import torch.distributed as dist

from ghn.training.ranks import Ranks

with Ranks.from_environment("cpu") as ranks:
    assert ranks.owned and ranks.gather(ranks.rank) == [0, 1]
assert not dist.is_initialized()
"""


def test_all_get_what_the_first_has() -> None:
    finish(group(SPREAD, world=2))
    finish(group(OWN, world=2))
    alone = torch.ones(2)
    Ranks().spread([alone])
    assert alone.tolist() == [1, 1]


@pytest.mark.parametrize("text", ["", "soon", "nan", "0", "-5", "inf"])
def test_a_timeout_that_is_none_is_refused_in_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("GHN_RANK_TIMEOUT", text)
    with pytest.raises(ValueError, match=r"^GHN_RANK_TIMEOUT must be a number of seconds, at least 1, not"):
        Ranks.from_environment("cpu")


def test_a_process_that_finds_no_other_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GHN_RANK_TIMEOUT", "1")
    line = f"^process 1 of 2 did not find the others at 127.0.0.1:{port} within 1 s .*; start all of them again$"
    with pytest.raises(RankLostError, match=line):
        Ranks.from_environment("cpu")


def test_the_line_about_a_lost_process_names_no_file_of_pytorch() -> None:
    error = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:5] Timed out waiting 20000ms\nmore")
    assert str(Ranks(rank=1, world=3)._lost(error)) == (
        "process 1 of 3 lost another one (Timed out waiting 20000ms); "
        "give the same command again to go on from the last save"
    )
