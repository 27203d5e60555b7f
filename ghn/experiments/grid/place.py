"""Where results of grids are kept: a folder, or an address of fsspec; the few operations that a store needs."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ghn.common.files import replaced_folder, write_text
from ghn.training.state import StateError


class Place(Protocol):
    """A tree of named files, to which several drivers write.

    Names are relative, with slashes. All raise OSError where the place does not answer.

    Attributes:
        address: As users name it.
        work: Local folder for what is not finished.
        local: Whether names are files that every process of this machine sees.
    """

    address: str
    work: Path
    local: bool

    def create(self, name: str, content: bytes) -> bool:
        """Make a small file; False where there is one of that name already, whoever made it.

        Others may see it empty for a moment; for ever where this process is killed in that moment.
        """
        ...

    def put(self, name: str, content: bytes) -> None:
        """Make or replace a file, whole or not at all."""
        ...

    def add(self, name: str, content: bytes, count: int) -> None:
        """Add lines to those of `name`; `count` is how often that was done before."""
        ...

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Names of the files in a folder, without it, and their bytes; empty where there is none."""
        ...

    def read(self, name: str, start: int = 0) -> bytes | None:
        """A file from a position on; None where there is none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file that may be there."""
        ...

    def hold(self, name: str, content: bytes) -> object:
        """Make a file that only this process may hold, as long as what is returned is kept."""
        ...

    def is_held(self, name: str) -> bool | None:
        """Whether a process holds it; None where that is not known."""
        ...

    def put_folder(self, folder: Path, name: str) -> None:
        """Keep a folder of files under a name; it is there whole or not at all."""
        ...

    def folder(self, name: str) -> Path | None:
        """The kept folder as a local one; None where it is not there."""
        ...


class FolderPlace:
    """A folder of this machine, or of a network file system.

    Args:
        folder: Made when something is written.
    """

    local = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._root = Path(folder).expanduser().absolute()
        self.address = os.fspath(folder)
        self.work = self._root / "work"

    def __reduce__(self) -> tuple[type[FolderPlace], tuple[str]]:
        return FolderPlace, (str(self._root),)

    def create(self, name: str, content: bytes) -> bool:
        path = self._root / name
        for _ in range(2):
            try:
                # For a moment it is there and empty.
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                return False
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                continue
            try:
                os.write(descriptor, content)
            finally:
                os.close(descriptor)
            return True
        raise FileNotFoundError(f"the folder {path.parent} was removed")

    def put(self, name: str, content: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, content.decode())

    def add(self, name: str, content: bytes, count: int) -> None:
        path = self._root / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            if file.write(content) != len(content):
                raise OSError(f"{path} could not be written to its end")

    def sizes(self, folder: str) -> Mapping[str, int]:
        found: dict[str, int] = {}
        with suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            for entry in entries:
                # One that goes meanwhile takes none of the others with it.
                with suppress(FileNotFoundError):
                    if entry.name[0] != ".":
                        found[entry.name] = entry.stat().st_size
        return found

    def read(self, name: str, start: int = 0) -> bytes | None:
        try:
            with open(self._root / name, "rb") as file:
                file.seek(start)
                return file.read()
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._root / name)

    def hold(self, name: str, content: bytes) -> object:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened for appending: the file system sees that it still grows.
        file = open(path, "ab", buffering=0)  # noqa: SIM115 - held until its owner goes
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(content)
        return file

    def is_held(self, name: str) -> bool | None:
        try:
            with open(self._root / name, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
                except OSError:
                    return None
                return False
        except FileNotFoundError:
            return False

    def put_folder(self, folder: Path, name: str) -> None:
        target = self._root / name
        if not target.is_dir():
            with replaced_folder(target) as partial:
                shutil.copytree(folder, partial, dirs_exist_ok=True)

    def folder(self, name: str) -> Path | None:
        found = self._root / name
        return found if found.is_dir() else None


class Beat:
    """Tells others every few seconds that this driver lives: the count in its file grows.

    Args:
        place: Where.
        name: Its file.
        head: What the file begins with.
        seconds: Between beats.
    """

    def __init__(self, place: Place, name: str, head: bytes, seconds: float) -> None:
        self._held = place.hold(name, head + b"\n0\n")
        self._place, self._name, self._head, self._seconds = place, name, head, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop, and take the file away."""
        self._ended.set()
        self._thread.join()
        with suppress(OSError):
            self._place.remove(self._name)
        if hasattr(self._held, "close"):
            self._held.close()

    def _go_on(self) -> None:
        count = 0
        while not self._ended.wait(self._seconds):
            count += 1
            # A place that does not answer for a while is noticed by who works with it.
            with suppress(OSError):
                if hasattr(self._held, "write"):
                    self._held.write(f"{count}\n".encode())
                else:
                    self._place.put(self._name, self._head + f"\n{count}\n".encode())


def open_place(address: str | os.PathLike[str]) -> Place:
    """The place that an address names: a folder, or `protocol://...` of fsspec.

    Raises:
        StateError: In one line, if it cannot be reached.
        ValueError: If a library is missing.
    """
    text = os.fspath(address)
    if "://" not in text:
        if Path(text).is_file():
            raise StateError(f"{text} is a file, and no folder for results; take another one")
        return FolderPlace(text)
    if text.startswith("file://"):
        return FolderPlace(text.removeprefix("file://"))
    from ghn.experiments.grid.remote import RemotePlace

    return RemotePlace(text)
