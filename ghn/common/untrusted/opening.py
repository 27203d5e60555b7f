"""Opening what a name leads to only if it is an ordinary file: pipes wait, devices act, and some never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ghn.common.untrusted.errors import FormatError


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, if it is a regular one with content; symbolic links are followed.

    Args:
        path: Its name.

    Raises:
        FormatError: If there is none, it is a folder, pipe, socket or device, is empty (or has no size, as what the
            kernel makes up under /proc), or cannot be read.
    """
    try:
        # Before it is opened: opening a device can rewind, print or reset it.
        _check_kind(os.stat(path))
        # Whatever takes its place meanwhile does not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            _check_kind(status)
            if not status.st_size:
                raise FormatError("is empty")
        except BaseException:
            os.close(descriptor)
            raise
    except FileNotFoundError:
        raise FormatError("there is no such file") from None
    except OSError as error:
        raise FormatError(f"cannot be read ({error.strerror or error})") from None
    except FormatError:
        raise
    except ValueError:
        raise FormatError("there is no such file: no file's name holds a NUL") from None
    return os.fdopen(descriptor, "rb")


def _check_kind(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FormatError("is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise FormatError("is not a regular file")


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """Content of a small file.

    Args:
        path: Its name.
        most: Bytes that a sound one has at most.

    Raises:
        FormatError: As `open_regular`, and if it is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise FormatError(f"has {size:,} bytes; a sound one has at most {most:,}")
        try:
            return file.read(size)
        except OSError as error:
            raise FormatError(f"cannot be read ({error.strerror or error})") from None


def exists(path: Path) -> bool:
    """Whether there is anything of that name; no name is an error."""
    try:
        return os.path.exists(path)
    except (ValueError, OSError):
        return False
