"""The state of a run on disk: written atomically, read without running any code, the last two kept."""

from __future__ import annotations

import fcntl
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ghn.common.files import replaced

CURRENT = "state.pt"
PREVIOUS = "state-previous.pt"
DAMAGED = "state-damaged.pt"
LOCK = ".lock"


class StateError(ValueError):
    """A saved state cannot be used; the message is one line with the remedy."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a run's folder, and hold it for this process.

    Raises:
        StateError: When another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK, "w")  # noqa: SIM115
    except OSError as error:
        raise StateError(f"{folder} cannot hold a run ({error.strerror}); take another folder") from error
    with lock:
        try:
            # Unlike flock's, this lock is not inherited by workers, which may outlive a killed training for a moment.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(f"another training runs in {folder}; stop it, or take another folder") from error
        except OSError:
            # Some network file systems have no locks.
            pass
        yield


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
        if not file.exists():
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


def _read(file: Path) -> dict[str, Any]:
    """A state after its checksums; a file that is no zip would be read by PyTorch's old format, which has none."""
    with zipfile.ZipFile(file) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"wrong checksum of {broken}")
    with open(file, "rb") as opened:
        return torch.load(opened, map_location="cpu", weights_only=True)
