"""One file in a tar file: where its bytes are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ghn.common.optional import require
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import open_regular

OPEN_SHARDS = 256
"""Files that a process keeps open."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a shard; its text is the shard's name and its own.

    Attributes:
        shard: The tar file, or its address of fsspec.
        name: In it.
        offset: Of its first byte.
        size: Its bytes.
    """

    shard: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"

    def read(self) -> bytes:
        """Its content.

        Raises:
            FormatError: If the shard cannot be read, or has become shorter.
        """
        try:
            if "://" in self.shard:
                content = bytes(file_system(self.shard).cat_file(self.shard, self.offset, self.offset + self.size))
            else:
                content = os.pread(_opened(self.shard).descriptor, self.size, self.offset)
        except OSError as error:
            raise FormatError(f"cannot be read ({error.strerror or error})") from None
        if len(content) != self.size:
            raise FormatError("the shard ends before it")
        return content


def file_system(address: str) -> Any:
    """The file system of an address such as `s3://bucket/0001.tar`.

    Raises:
        ValueError: If fsspec, or the library of the protocol, is missing.
    """
    fsspec = require("fsspec", "cluster", f"an address such as {address}")
    try:
        return fsspec.core.url_to_fs(address)[0]
    except ImportError as error:
        raise ValueError(f"{address} cannot be opened: {error}") from error


class _Opened:
    """A file that is open as long as it is held; unlike Python's, nobody complains when it is let go."""

    def __init__(self, path: str) -> None:
        with open_regular(path) as file:
            self.descriptor = os.dup(file.fileno())

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


@lru_cache(maxsize=OPEN_SHARDS)
def _opened(shard: str) -> _Opened:
    return _Opened(shard)
