"""The state of a run on disk: written atomically, read without running any code, the last two kept."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from ghn.common.errors import OneLineError
from ghn.common.files import replaced
from ghn.common.untrusted.source import open_bytes
from ghn.common.untrusted.states import read_state

CURRENT = "state.pt"
PREVIOUS = "state-previous.pt"
DAMAGED = "state-damaged.pt"
LOCK = ".lock"


_held: set[tuple[int, int]] = set()
"""Folders that this process holds, by device and inode: the system's lock is one of processes, not of threads."""

_guard = threading.Lock()


class StateError(OneLineError):
    """A saved state cannot be used; the message is one line with the remedy."""


@contextmanager
def locked(folder: Path, what: str = "training") -> Iterator[None]:
    """Make a run's folder, and hold it for one training of one process.

    Args:
        folder: Where.
        what: What is held, for the message.

    Raises:
        StateError: When another training holds it, of whatever process or thread, or it cannot be made.
    """
    taken = f"another {what} runs in {folder}; stop it, or take another folder"
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, ValueError) as error:
        raise StateError(f"{folder} cannot hold a run ({_cause(error)}); take another folder") from error
    key = (status.st_dev, status.st_ino)
    with _guard:
        # Not later: whoever closes the lock's file ends the lock of all his process.
        if key in _held:
            raise StateError(taken)
        _held.add(key)
    try:
        with _process_lock(folder, taken):
            yield
    except BaseException:
        if made:
            _remove_if_empty(folder)
        raise
    finally:
        _held.discard(key)


def _remove_if_empty(folder: Path) -> None:
    """Take away what a start that failed has made: a folder that holds nothing but the lock."""
    with suppress(OSError):
        if [entry.name for entry in os.scandir(folder)] == [LOCK]:
            os.unlink(folder / LOCK)
            os.rmdir(folder)


@contextmanager
def _process_lock(folder: Path, taken: str) -> Iterator[None]:
    try:
        # Neither a pipe of that name is waited for, nor what it may link to truncated.
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StateError(f"{folder} cannot hold a run ({_cause(error)}); take another folder") from error
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            raise StateError(f"{folder} cannot hold a run (its {LOCK} is no regular file); take another folder")
        try:
            # Unlike flock's, this lock is not inherited by workers, which may outlive a killed training for a moment.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise StateError(taken) from error
        except OSError:
            # Some network file systems have no locks.
            pass
        yield
    finally:
        os.close(lock)


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Save plain values and tensors as the folder's current state; the one before is kept beside it.

    Raises:
        OSError: When it could not be written; the states saved before are then untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(folder / CURRENT, keep=folder / PREVIOUS) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # PyTorch's zip writer reports a full disk so.
            raise OSError(str(error).strip().partition("\n")[0]) from error


def has_state(folder: Path) -> bool:
    """Whether a run's folder holds a state, damaged or not."""
    return any((folder / name).exists() for name in (CURRENT, PREVIOUS))


def load_state(folder: Path, *, keys: Sequence[str] = (), set_aside: bool = False) -> dict[str, Any] | None:
    """The last complete state of a run's folder, or None when there is none.

    A damaged current state is passed over with a warning, for the one before it.

    Args:
        folder: The run's folder.
        keys: What the state must have; one without them is no state of this kind, and counts as damaged.
        set_aside: Rename a damaged current state, which the next save would otherwise keep instead of the good one.

    Raises:
        StateError: When there are states but none can be read.
    """
    problems = []
    for name in (CURRENT, PREVIOUS):
        file = folder / name
        if not os.path.lexists(file):
            continue
        try:
            state = _read(file)
            missing = next((key for key in keys if key not in state), None) if isinstance(state, dict) else "a dict"
            if missing is not None:
                raise StateError(f"it lacks {missing}")
        # One bit can make a zip archive name another compression: whatever is raised, the file is damaged.
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            problems.append(f"{file} is damaged ({reason[0][:80]})")
            continue
        if problems:
            warnings.warn(f"{problems[0]}; going on from {file}, which is older", stacklevel=2)
            if set_aside and (folder / CURRENT).exists():
                os.replace(folder / CURRENT, folder / DAMAGED)
        return state
    if problems:
        raise StateError(f"{'; '.join(problems)}; delete {folder} to begin anew")
    return None


def _read(file: Path) -> Any:
    """A state after its checksums, by the closed reader: PyTorch's own makes buffers of whatever size a file says."""
    return read_state(open_bytes(file))
