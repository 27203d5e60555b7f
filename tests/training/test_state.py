"""States on disk survive crashes, full disks and truncation."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.common.files import remove_partial
from ghn.training.state import CURRENT, DAMAGED, PREVIOUS, StateError, load_state, locked, save_state


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file can grow beyond `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def state(step: int) -> dict[str, object]:
    return {"step": step, "weights": torch.full((20_000,), float(step)), "config": {"name": "x"}}


def test_nothing_saved(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    assert load_state(tmp_path / "none") is None


def test_the_last_state_comes_back_and_the_one_before_is_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_state(tmp_path / "run", state(step))
    loaded = load_state(tmp_path / "run")
    assert loaded is not None
    assert loaded["step"] == 3
    assert torch.equal(loaded["weights"], torch.full((20_000,), 3.0))
    assert torch.load(tmp_path / "run" / PREVIOUS, weights_only=True)["step"] == 2
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == sorted([CURRENT, PREVIOUS])


def test_without_hard_links_the_one_before_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    for step in (1, 2, 3):
        save_state(tmp_path, state(step))
    assert [torch.load(tmp_path / name, weights_only=True)["step"] for name in (CURRENT, PREVIOUS)] == [3, 2]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([CURRENT, PREVIOUS])


@pytest.mark.parametrize("room", [0, 1000, 50_000])
def test_full_disk_leaves_the_saved_states_alone(tmp_path: Path, room: int) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with full_disk(room), pytest.raises(OSError, match=r"\w"):
        save_state(tmp_path, state(3))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("keep", [0, 1, 100, 5_000, 79_000])
def test_truncated_state_falls_back_on_the_one_before(tmp_path: Path, keep: int) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    file = tmp_path / CURRENT
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.warns(
        UserWarning, match=r"state\.pt is damaged .*; going on from .*state-previous\.pt, which is older"
    ):
        loaded = load_state(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 1


def test_a_damaged_state_does_not_take_the_place_of_the_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    (tmp_path / CURRENT).write_bytes(b"junk")
    with pytest.warns(UserWarning, match="damaged"):
        load_state(tmp_path, set_aside=True)
    assert (tmp_path / DAMAGED).read_bytes() == b"junk"
    replaced: list[str] = []
    replace = os.replace

    def dies(source: Path, target: Path) -> None:
        replaced.append(target.name)
        if target.name == CURRENT:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, state(3))
    assert replaced == [CURRENT]
    loaded = load_state(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 1


def test_any_byte_may_be_wrong(tmp_path: Path) -> None:
    """The end of the file too, where the names of its parts are."""
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    file = tmp_path / CURRENT
    content = file.read_bytes()
    for offset in range(1, 1500, 7):
        damaged = bytearray(content)
        damaged[-offset] ^= 0x80
        file.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = load_state(tmp_path)
        assert loaded is not None
        assert loaded["step"] in (1, 2)


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from ghn.training.state import locked\nwith locked(pathlib.Path(sys.argv[1])): input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    with locked(tmp_path / "run"):
        other = subprocess.run(command, input="\n", capture_output=True, text=True, check=False)
        assert other.returncode == 1
        assert "another training runs in" in other.stderr
    assert subprocess.run(command, input="\n", text=True, check=False).returncode == 0
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"file cannot hold a run .*; take another folder"), locked(tmp_path / "file"):
        pass


def test_bytes_turned_over_in_the_middle_are_noticed(tmp_path: Path) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    file = tmp_path / CURRENT
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        loaded = load_state(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 1


def test_two_damaged_states_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / CURRENT).write_bytes(b"junk")
    (tmp_path / PREVIOUS).write_bytes(b"")
    with pytest.raises(StateError, match=r"state\.pt is damaged .*state-previous\.pt is damaged .* to begin anew$"):
        load_state(tmp_path)


def test_a_state_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"step": 1, "evil": Evil()}, tmp_path / CURRENT)
    (tmp_path / PREVIOUS).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(StateError):
        load_state(tmp_path)
    assert not (tmp_path / "evil").exists()


SAVER = """
import sys, torch
from pathlib import Path
from ghn.training.state import save_state
for step in range(10**6):
    save_state(Path(sys.argv[1]), {"step": step, "weights": torch.full((300_000,), float(step))})
    print(step, flush=True)
"""


def test_kill_at_any_moment_leaves_a_complete_state(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as saver:
            assert saver.stdout is not None
            saver.stdout.readline()
            time.sleep(0.1 * float(torch.rand((), generator=generator)))
            saver.kill()
            printed = saver.stdout.read().split()
        loaded = load_state(tmp_path)
        assert loaded is not None
        assert loaded["step"] >= int(printed[-1] if printed else 0)
        assert torch.equal(loaded["weights"], torch.full((300_000,), float(loaded["step"])))
        remove_partial(tmp_path)
        assert {file.name for file in tmp_path.iterdir()} <= {CURRENT, PREVIOUS}


@pytest.mark.parametrize("content", [[1, 2], {"step": 3}, 7, {}])
def test_a_readable_file_that_is_no_state_gives_way_to_the_one_before(tmp_path: Path, content: Any) -> None:
    save_state(tmp_path, {"step": 1, "config": {}})
    save_state(tmp_path, {"step": 2, "config": {}})
    torch.save(content, tmp_path / CURRENT)
    with pytest.warns(UserWarning, match=r"state\.pt is damaged \(it lacks (a dict|config|step)\); going on from"):
        loaded = load_state(tmp_path, keys=("step", "config"))
    assert loaded is not None
    assert loaded["step"] == 1
    (tmp_path / PREVIOUS).unlink()
    with pytest.raises(StateError, match="it lacks"):
        load_state(tmp_path, keys=("step", "config"))
