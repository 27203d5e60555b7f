"""Several processes train what one process trains."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.hypernet import GHNConfig
from ghn.train import distributed
from ghn.train.config import MetaTrainingConfig, Space
from ghn.train.distributed import Ranks
from ghn.train.run import train
from ghn.train.state import load_state

CONFIG = MetaTrainingConfig(
    hypernet=GHNConfig(hidden=8, layers=1, heads=2, num_classes=10, max_channels=8, spatial=3),
    data="digits",
    space=Space(max_megamacs=25.0, max_cells=5),
    meta_batch=3,
    images=4,
    steps=3,
    log_every=1,
    save_every=1,
    learning_rate=1e-3,
)

PROGRAM = """
import json, sys, time
from ghn.train.config import MetaTrainingConfig
from ghn.train.distributed import RankLostError
from ghn.train.run import train
config, folder, stop_after = MetaTrainingConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2], json.loads(sys.argv[3])
try:
    train(config, folder, device="cpu", stop_after=stop_after)
except RankLostError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


def start(
    config: MetaTrainingConfig, folder: Path, *, world: int, stop_after: int | None = None
) -> list[subprocess.Popen[str]]:
    """The processes that `torchrun` would start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(config.to_dict()), str(folder), json.dumps(stop_after)],
            env={**environment, "WORLD_SIZE": str(world), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]


def finish(processes: list[subprocess.Popen[str]]) -> list[str]:
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(errors)
    return errors


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state = load_state(folder)
    assert state is not None
    return state["hypernet"]


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_two_processes_equal_one_also_when_their_number_changes(tmp_path: Path) -> None:
    train(CONFIG, tmp_path / "one", device="cpu")
    finish(start(CONFIG, tmp_path / "two", world=2, stop_after=2))
    finish(start(CONFIG, tmp_path / "two", world=1))
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=2e-5, msg=name)
    for first, second in zip(log_of(tmp_path / "one"), log_of(tmp_path / "two"), strict=True):
        for name in ("step", "loss", "accuracy", "penalty", "gradient_norm", "learning_rate"):
            assert first[name] == pytest.approx(second[name], rel=1e-3), name


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


def test_sigterm_to_one_process_stops_all_at_the_same_step(tmp_path: Path) -> None:
    processes = start(replace(CONFIG, steps=10**6), tmp_path, world=2)
    while not (tmp_path / "state.pt").exists():
        assert processes[0].poll() is None, processes[0].communicate()[1]
    processes[1].send_signal(signal.SIGTERM)
    finish(processes)
    state = load_state(tmp_path)
    assert state is not None
    assert state["step"] == log_of(tmp_path)[-1]["step"]


@pytest.mark.parametrize(("world", "count"), [(1, 1), (2, 2), (2, 3), (3, 8), (4, 5)])
def test_shares_are_even_and_complete(world: int, count: int) -> None:
    shares = [Ranks(rank=rank, world=world).share(count) for rank in range(world)]
    assert [slot for share in shares for slot in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_too_few_networks_for_the_processes() -> None:
    with pytest.raises(ValueError, match="2 networks cannot be shared by 3 processes; raise meta_batch"):
        Ranks(rank=0, world=3).share(2)


def test_buckets_hold_every_tensor_once_and_one_type_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "BUCKET", 10)
    sizes = [
        (4, torch.float32),
        (7, torch.float32),
        (2, torch.float32),
        (30, torch.float32),
        (1, torch.float64),
        (0, torch.float64),
    ]
    tensors = [torch.zeros(size, dtype=dtype) for size, dtype in sizes]
    buckets = distributed._buckets(tensors)
    assert [id(tensor) for bucket in buckets for tensor in bucket] == [id(tensor) for tensor in tensors]
    assert all(len({tensor.dtype for tensor in bucket}) == 1 for bucket in buckets)
    assert [len(bucket) for bucket in buckets] == [1, 2, 1, 2]
