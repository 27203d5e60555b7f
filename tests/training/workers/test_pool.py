"""Pieces of work in several processes: results, kills, stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ghn.training.signals import StoppedError, on_stop_signal
from ghn.training.workers.pool import Pool, WorkerKilledError


def square(given: int, number: int) -> int:
    return given + number * number


def own_id(given: int) -> int:
    return os.getpid()


def kill_yourself(given: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(given: int) -> None:
    raise ValueError("it cannot be")


def until_stopped(given: int, folder: str) -> str:
    """As a training: notes that it began, and ends in order when it is told to."""
    stopped: list[bool] = []
    with on_stop_signal(lambda: stopped.append(True)):
        (Path(folder) / "began").touch()
        while not stopped:
            time.sleep(0.02)
    (Path(folder) / "saved").touch()
    raise StoppedError("stopped")


def test_pieces_of_work_are_done_once_each_whatever_is_killed() -> None:
    with Pool(2, 10) as pool:
        assert sorted(pool.unordered(square, [(number,) for number in range(5)])) == [10, 11, 14, 19, 26]
        killed, other = pool.submit(kill_yourself), pool.submit(square, 3)
        with pytest.raises(WorkerKilledError, match="was killed"):
            killed.result()
        assert other.result() == 19, "a killed process costs its own work only"
        with pytest.raises(ValueError, match="it cannot be"):
            pool.submit(fail).result()
        assert pool.submit(square, 1).result() == 11


def test_a_process_that_is_killed_while_it_has_no_work_is_replaced() -> None:
    with Pool(1, 10) as pool:
        first = pool.submit(own_id).result()
        os.kill(first, signal.SIGKILL)
        (process,) = pool._free
        end = time.monotonic() + 30
        while not process._broken and time.monotonic() < end:  # type: ignore[attr-defined]
            time.sleep(0.01)
        assert pool.submit(own_id).result() != first
        assert len(pool._all) == 1, "nothing is kept of the one that was killed"


def test_work_that_a_process_did_not_begin_before_it_was_killed_is_told_from_what_it_ended_with() -> None:
    with Pool(1, 10) as pool:
        with pytest.raises(WorkerKilledError) as caught:
            pool.submit(kill_yourself).result()
        assert caught.value.begun
        # It wakes up with work to do and a signal to end, of which the latter comes first.
        os.kill(pool.submit(own_id).result(), signal.SIGSTOP)
        (process,) = pool._free
        future = pool.submit(square, 2)
        os.kill(next(iter(process._processes)), signal.SIGKILL)  # type: ignore[attr-defined]
        with pytest.raises(WorkerKilledError) as caught:
            future.result()
        assert not caught.value.begun


@pytest.mark.slow
def test_more_work_than_processes_is_refused_and_none_is_no_pool(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        Pool(0)
    with Pool(1) as pool:
        running = pool.submit(until_stopped, str(tmp_path))
        with pytest.raises(RuntimeError, match="all processes"):
            pool.submit(square, 1)
        while not (tmp_path / "began").exists():
            time.sleep(0.02)
    # What is under way at the end is told to stop, and saves.
    assert (tmp_path / "saved").exists()
    with pytest.raises(StoppedError):
        running.result()


STARTING = """
import sys, time
from ghn.training.workers.pool import Pool
from tests.training.workers.test_pool import square

with Pool(2, 1) as pool:
    futures = [pool.submit(square, 1), pool.submit(square, 2)]
    print("started", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", [future.result() for future in futures], flush=True)
"""


@pytest.mark.parametrize("seconds", [0.3, *(pytest.param(value, marks=pytest.mark.slow) for value in (0.0, 1.0))])
def test_ctrl_c_while_processes_start_is_the_affair_of_who_started_them(seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(2, signal.default_int_handler)\n" + STARTING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (out, errors, process.returncode) == ("interrupted [2, 5]\n", "", 0)
