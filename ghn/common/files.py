"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial"
"""Suffix of what is being written; its name begins with a dot."""


def _partial(beside: Path, name: str) -> Path:
    # Several processes or threads may write the same file.
    # Names may have 255 bytes.
    stem = os.fsdecode(os.fsencode(name)[:200])
    return beside / f".{stem}.{secrets.token_hex(4)}{PARTIAL}"


@contextmanager
def replaced(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place if the block succeeds, and vanishes if it does not.

    Args:
        path: The file to make or replace; its folder exists. It gets the mode of an ordinary new file.
        keep: Where the file that is replaced stays, if there is one; only a complete new file replaces either.

    Yields:
        The temporary file's path; the block makes the file.

    Raises:
        OSError: If it cannot be written; the old file is then as it was.
    """
    temporary = _partial(path.parent, path.name)
    try:
        # Some writers make files that only their owner reads.
        temporary.touch()
        mode = temporary.stat().st_mode & 0o777
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        if keep is not None and path.exists():
            _keep(path, keep)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Make or replace a text file in UTF-8, whole or not at all; raises OSError as `replaced`."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _keep(file: Path, kept: Path) -> None:
    """Let `kept` be the same file, or a copy where the file system has no links."""
    partial = _partial(kept.parent, kept.name)
    try:
        try:
            os.link(file, partial)
        except OSError:
            shutil.copyfile(file, partial)
        os.replace(partial, kept)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files end up in `folder` if the block succeeds, and nowhere if it does not.

    A new folder appears by one rename; in an existing one each file is replaced by a rename, others stay. What is
    missing above it is made, and goes again where the block fails.

    Args:
        folder: The folder to make or change.

    Yields:
        The temporary folder, on the same file system.

    Raises:
        NotADirectoryError: If there is a file of that name.
        OSError: If something cannot be written.
    """
    target = Path(os.path.abspath(folder))
    partial: Path | None = None
    parents: list[Path] = []
    try:
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(f"{folder} is a file, not a folder to write to")
        _make_parents(target.parent, parents)
        partial = _partial(target if target.is_dir() else target.parent, target.name)
        partial.mkdir()
        yield partial
        _publish(partial, target)
        parents.clear()
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        for parent in reversed(parents):
            with suppress(OSError):  # somebody else put something there meanwhile
                parent.rmdir()


def _make_parents(folder: Path, made: list[Path]) -> None:
    """Make `folder` and what is missing above it; adds those made to `made`, outermost first."""
    for parent in [parent for parent in (folder, *folder.parents) if not parent.exists()][::-1]:
        parent.mkdir(exist_ok=True)
        made.append(parent)


def _publish(partial: Path, target: Path) -> None:
    if not target.exists():
        try:
            os.replace(partial, target)
            return
        except OSError:
            # Somebody else made it meanwhile.
            if not target.is_dir():
                raise
    for file in sorted(partial.iterdir()):
        os.replace(file, target / file.name)


def remove_partial(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left behind; nobody else may be writing there."""
    for leftover in folder.glob(f".*{PARTIAL}"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
