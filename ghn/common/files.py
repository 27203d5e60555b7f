"""Files and folders that are written whole or not at all.

What is being written lies in a folder of its own beside its place, which the writing process holds by a lock: one that
nobody holds was left by a process that was killed, and goes with the next write to the same place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial"
"""Suffix of what is being written; its name begins with a dot."""


def _prefix(name: str) -> str:
    # Names may have 255 bytes.
    return f".{os.fsdecode(os.fsencode(name)[:200])}."


def _partial(beside: Path, name: str) -> Path:
    # Several processes or threads may write the same file.
    return beside / f"{_prefix(name)}{secrets.token_hex(4)}{PARTIAL}"


@contextmanager
def _workplace(beside: Path, name: str) -> Iterator[Path]:
    """A folder in `beside` for what shall be called `name`; it goes unless the block moves it; abandoned ones go."""
    _remove_abandoned(beside, name)
    folder, lock = _make_locked(beside, name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_locked(beside: Path, name: str) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds it."""
    while True:
        folder = _partial(beside, name)
        folder.mkdir()
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            # Before it was held, somebody else may have taken it for an abandoned one.
            if _take(lock) is not False and os.path.samestat(os.fstat(lock), os.stat(folder)):
                return folder, lock
            os.close(lock)


def _take(descriptor: int) -> bool | None:
    """Lock what is open: whether it was free, or None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_abandoned(beside: Path, name: str) -> None:
    """Remove what killed processes left of writing `name`."""
    prefix = _prefix(name)
    with suppress(OSError), os.scandir(beside) as entries:
        for entry in entries:
            token = entry.name.removeprefix(prefix).removesuffix(PARTIAL)
            if entry.name != f"{prefix}{token}{PARTIAL}" or len(token) != 8 or not entry.is_dir(follow_symlinks=False):
                continue
            with suppress(OSError):
                lock = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if _take(lock):
                        shutil.rmtree(entry.path, ignore_errors=True)
                finally:
                    os.close(lock)


@contextmanager
def replaced(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """A file of the same name elsewhere that takes the place of `path` if the block succeeds, and else vanishes.

    Args:
        path: The file to make or replace; its folder exists. It gets the mode of an ordinary new file. Where it is a
            symbolic link, the file that this leads to is replaced.
        keep: Where the file that is replaced stays, if there is one; only a complete new file replaces either.

    Yields:
        The temporary file's path; the block makes the file.

    Raises:
        OSError: If it cannot be written, or is there and is no regular file; what was there is then as it was.
    """
    path = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        kind = path.lstat().st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, "it is a directory and no regular file", str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EEXIST, "it is there and is no regular file", str(path))
    with _workplace(path.parent, path.name) as folder:
        temporary = folder / path.name
        temporary.touch()
        yield temporary
        _finish(folder, [temporary])
        if keep is not None and path.exists():
            _keep(path, keep)
        os.replace(temporary, path)


def digest_of_file(path: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of what a file holds.

    Raises:
        OSError: If it cannot be read.
    """
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Make or replace a text file in UTF-8, whole or not at all; raises OSError as `replaced`."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _finish(folder: Path, files: list[Path]) -> None:
    """Have files on the disk, with the mode of ordinary new ones: some writers make them for their owner only."""
    probe = folder / f"{PARTIAL}-mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for file in files:
        file.chmod(mode)
        with open(file, "rb+") as written:
            os.fsync(written.fileno())


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
    missing above it is made, and goes again where the block fails. Several processes may make the same folder.

    Args:
        folder: The folder to make or change.

    Yields:
        The temporary folder, on the same file system.

    Raises:
        NotADirectoryError: If there is a file of that name.
        OSError: If something cannot be written.
    """
    target = Path(os.path.realpath(folder))
    parents: list[Path] = []
    try:
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(f"{folder} is a file, not a folder to write to")
        _make_parents(target.parent, parents)
        # What is left of a process that was killed before the folder was there is beside it.
        _remove_abandoned(target.parent, target.name)
        with _workplace(target if target.is_dir() else target.parent, target.name) as partial:
            yield partial
            _finish(partial, [file for file in partial.rglob("*") if file.is_file()])
            _publish(partial, target)
        parents.clear()
    finally:
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
    files = sorted(partial.iterdir())
    for file in files:
        if file.is_file() and (target / file.name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{file.name} is a folder there", str(target / file.name))
    for file in files:
        os.replace(file, target / file.name)


def remove_partial(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left behind; nobody else may be writing there."""
    for leftover in folder.glob(f".*{PARTIAL}"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
