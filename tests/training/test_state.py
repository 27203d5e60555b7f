"""States on disk survive crashes, full disks and truncation."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.common.files import remove_partial
from ghn.training.state import CURRENT, DAMAGED, LOCK, PREVIOUS, StateError, load_state, locked, save_state
from tests.warm import Program


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


@pytest.mark.slow
def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from ghn.training.state import locked\nwith locked(pathlib.Path(sys.argv[1])): input()"
    )
    with locked(tmp_path / "run"):
        other = Program(program, str(tmp_path / "run"))
        _, errors = other.communicate("\n", timeout=60)
        assert other.returncode == 1
        assert "another training runs in" in errors
    after = Program(program, str(tmp_path / "run"))
    after.communicate("\n", timeout=60)
    assert after.returncode == 0
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


@pytest.mark.parametrize("kills", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_kill_at_any_moment_leaves_a_complete_state(kills: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(kills):
        with Program(SAVER, str(tmp_path)) as saver:
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


def test_a_folder_is_held_by_one_thread(tmp_path: Path) -> None:
    program = "import sys, pathlib; from ghn.training.state import locked\nwith locked(pathlib.Path(sys.argv[1])): pass"
    with locked(tmp_path / "run"):
        # Closing the lock's file a second time must not free it for other processes.
        with pytest.raises(StateError, match="another training runs in"), locked(tmp_path / "run"):
            pytest.fail("two trainings in one folder")
        (tmp_path / "link").symlink_to("run")
        with pytest.raises(StateError, match="another training runs in"), locked(tmp_path / "link"):
            pytest.fail("two trainings in one folder")
        _, errors = Program(program, str(tmp_path / "run")).communicate(timeout=60)
        assert "another training runs in" in errors
        with locked(tmp_path / "other"):
            pass
    with locked(tmp_path / "run"):
        pass


@pytest.mark.parametrize("name", [CURRENT, PREVIOUS])
def test_what_is_no_file_is_no_state(tmp_path: Path, name: str) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = load_state(tmp_path)
    assert loaded is not None
    os.remove(tmp_path / LOCK) if (tmp_path / LOCK).exists() else None
    os.mkfifo(tmp_path / LOCK)
    with pytest.raises(StateError, match="no regular file"), locked(tmp_path):
        pytest.fail("a pipe is no lock")


def test_all_that_a_training_saves_comes_back(tmp_path: Path) -> None:
    """Every kind of value: shared and strided tensors, numbers of each type, tuples, None."""
    flat = torch.arange(12.0)
    saved = {
        "views": [flat[:6].view(2, 3), flat[6:].view(3, 2).t()],
        "types": {name: torch.ones(3).to(getattr(torch, name)) for name in ("float16", "bfloat16", "int64", "bool")},
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "random_state": torch.get_rng_state(),
        "config": {"betas": (0.9, 0.999), "none": None, "on": True, "text": "größe"},
        "state": {0: {"step": torch.tensor(7.0)}},
    }
    save_state(tmp_path, saved)
    loaded = load_state(tmp_path)
    assert loaded is not None
    assert loaded.pop("config") == saved.pop("config")
    torch.testing.assert_close(loaded, saved, rtol=0, atol=0)


BOMBS: dict[str, Callable[[], Any]] = {
    "same tensor often": lambda: [Rebuilt(torch.ones(100_000)) for _ in range(20)],
    "bytes by number": lambda: Reduced(bytearray, 10**10),
    "tensor in a tuple": lambda: (torch.ones(3),),
    "tensor on no device": lambda: torch.ones(1 << 40, device="meta"),
}


class Reduced:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


SHARED = torch.ones(100_000)


class Rebuilt(Reduced):
    """Pickles as one more view of the same storage."""

    def __init__(self, _: torch.Tensor) -> None:
        storage = torch.storage.TypedStorage(wrap_storage=SHARED.untyped_storage(), dtype=torch.float32, _internal=True)
        super().__init__(torch._utils._rebuild_tensor_v2, storage, 0, (100_000,), (1,), False, {})


@pytest.mark.parametrize("case", BOMBS)
def test_states_that_ask_for_more_than_they_hold(tmp_path: Path, case: str) -> None:
    torch.save({"step": 1, "bomb": BOMBS[case]()}, tmp_path / CURRENT)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StateError, match=r"state\.pt is damaged"):
        load_state(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64_000  # KiB


def test_a_start_that_fails_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    for name, made, content in (("new", False, None), ("old", True, None), ("full", False, "log")):
        folder = tmp_path / name
        if made:
            folder.mkdir()
        with suppress(KeyError), locked(folder):
            if content is not None:
                (folder / content).touch()
            raise KeyError
        assert folder.exists() is (made or content is not None)
    with locked(tmp_path / "new"):
        pass
    assert (tmp_path / "new").exists(), "what did not fail stays"
