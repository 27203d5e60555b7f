"""The state of a run on disk: written atomically, read without running any code, the last two kept."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

CURRENT = "state.pt"
PREVIOUS = "state-previous.pt"


class StateError(ValueError):
    """A saved state cannot be used; the message is one line with the remedy."""


def write_atomically(file: Path, write: Any) -> None:
    """Make `file` by calling `write(path)` on a temporary one beside it; on any error the old file stays as it was.

    Raises:
        OSError: When the disk is full or not writable.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.parent / f".{file.name}.{os.getpid()}.partial"
    try:
        try:
            write(temporary)
        except RuntimeError as error:
            # torch.save reports a full disk as a RuntimeError of its zip writer.
            raise OSError(str(error).strip().partition("\n")[0]) from error
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left behind."""
    for leftover in folder.glob(".*.partial"):
        leftover.unlink(missing_ok=True)


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Save plain values and tensors as the folder's current state; the one before is kept beside it.

    Raises:
        OSError: When it could not be written; the states saved before are then untouched.
    """
    current = folder / CURRENT

    def write(path: Path) -> None:
        torch.save(state, path)
        # Until the new state is complete on disk, the current one must stay the current one.
        if current.exists():
            linked = folder / f".{PREVIOUS}.partial"
            linked.unlink(missing_ok=True)
            os.link(current, linked)
            os.replace(linked, folder / PREVIOUS)

    write_atomically(current, write)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The last complete state of a run's folder, or None when there is none.

    A damaged current state is passed over with a warning, for the one before it.

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
        except (RuntimeError, EOFError, OSError, zipfile.BadZipFile, pickle.UnpicklingError, KeyError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            problems.append(f"{file} is damaged ({reason[0][:80]})")
            continue
        if problems:
            warnings.warn(f"{problems[0]}; going on from {file}, which is older", stacklevel=2)
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
