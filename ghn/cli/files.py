"""Output files: checked before the work starts, and written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ghn.common import files


def check_writable(path: Path, suffixes: tuple[str, ...]) -> None:
    """See that a file can be written later, without touching it: a temporary one is made beside it.

    Args:
        path: The file; replaced if it exists.
        suffixes: What its name may end in, in lower case.

    Raises:
        ValueError: In one line, if it cannot.
    """
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"the output {path} must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it")
    folder = path.parent
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist; make it first"
        raise ValueError(f"cannot write {path}: {folder} {what}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place if the block succeeds, and vanishes if it does not.

    Args:
        path: The file to make or replace.

    Yields:
        The temporary file's path; the block makes the file.

    Raises:
        ValueError: In one line, if it cannot be written (no space, no permission).
    """
    try:
        with files.replaced(path) as temporary:
            yield temporary
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}; nothing was written") from error
