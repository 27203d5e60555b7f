"""Results of grids at an address of fsspec: `s3://bucket/folder`, `gs://…`, `memory://…`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ghn.common.files import replaced_folder
from ghn.common.optional import require
from ghn.common.text import printable
from ghn.training.state import StateError


@contextmanager
def _os_errors() -> Iterator[None]:
    """Context in which what a protocol raises is an OSError, as a place's errors are: each has errors of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {_line(error)}") from error


class RemotePlace:
    """An address of fsspec. Nothing is appended to there: what is added is a file of its own.

    Args:
        address: `protocol://...`.
        check: See whether it answers.

    Raises:
        StateError: In one line, if it does not answer.
        ValueError: If fsspec, or the library of the protocol, is missing.
    """

    local = False

    def __init__(self, address: str, *, check: bool = True) -> None:
        fsspec = require("fsspec", "cluster", f"an address such as {address}")
        self.address = address.rstrip("/")
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.address)
            # A folder is made when something is written; an archive that shall hold one must be there.
            with suppress(FileNotFoundError):
                if check:
                    self._fs.ls(self._root, detail=False)
        except (ImportError, ValueError) as error:
            raise ValueError(f"{address} cannot be opened: {_line(error)}") from error
        except Exception as error:  # each protocol has errors of its own
            raise StateError(f"{address} cannot be reached ({_line(error)}); nothing was computed") from error
        digest = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        self.work = Path(base) / "ghn" / "experiments" / digest

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        # An error while a piece of work is unpacked would end the process that does so.
        return _unchecked, (self.address,)

    def create(self, name: str, content: bytes) -> bool:
        try:
            with _os_errors():
                self._fs.pipe_file(self._path(name, parents=True), content, mode="create")
        except FileExistsError:
            return False
        return True

    @_os_errors()
    def put(self, name: str, content: bytes) -> None:
        self._fs.pipe_file(self._path(name, parents=True), content)

    def add(self, name: str, content: bytes, count: int) -> None:
        self.put(f"{name}-{count:06d}.jsonl", content)

    @_os_errors()
    def sizes(self, folder: str) -> Mapping[str, int]:
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return {}
        return {entry["name"].rpartition("/")[2]: entry["size"] or 0 for entry in entries if entry["type"] == "file"}

    @_os_errors()
    def read(self, name: str, start: int = 0) -> bytes | None:
        try:
            return bytes(self._fs.cat_file(self._path(name), start=start or None))
        except FileNotFoundError:
            return None

    @_os_errors()
    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def hold(self, name: str, content: bytes) -> object:
        self.put(name, content)
        return None

    @_os_errors()
    def is_held(self, name: str) -> bool | None:
        self._fs.invalidate_cache()
        try:
            self._fs.info(self._path(name))  # `exists` is also false where nothing answers
        except FileNotFoundError:
            return False
        return None

    def put_folder(self, folder: Path, name: str) -> None:
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        for file in files:
            self.put(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())
        # Last: with it the folder is whole.
        self.put(f"{name}.whole", "\n".join(file.relative_to(folder).as_posix() for file in files).encode())

    def folder(self, name: str) -> Path | None:
        listed = self.read(f"{name}.whole")
        if listed is None:
            return None
        target = self.work / "files" / name
        if not target.is_dir():
            try:
                with replaced_folder(target) as partial:
                    self._fetch(name, listed.decode().splitlines(), partial)
            except (_GoneError, UnicodeDecodeError):
                return None
        return target

    def _fetch(self, name: str, files: Sequence[str], folder: Path) -> None:
        for inner in files:
            content = self.read(f"{name}/{inner}") if _is_below(inner) else None
            if content is None:
                raise _GoneError
            (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (folder / inner).write_bytes(content)

    def _path(self, name: str, *, parents: bool = False) -> str:
        path = f"{self._root}/{name}"
        if parents:
            with suppress(Exception):  # object stores have no folders
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        return path


def _unchecked(address: str) -> RemotePlace:
    return RemotePlace(address, check=False)


class _GoneError(Exception):
    """A file of a kept folder is not there."""


def _is_below(name: str) -> bool:
    """Whether a name out of a list is that of a file in its folder, and of no other."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _line(error: Any) -> str:
    return printable(" ".join(str(error).split()))[:200] or type(error).__name__
