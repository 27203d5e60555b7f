"""Only regular files with content are opened, and nothing else is waited for."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import exists, open_regular, read_bytes


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.touch(), "is empty"),
    "pipe": (os.mkfifo, "not a regular file"),
    "socket": (_socket, "not a regular file"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "kernel's text": (lambda path: path.symlink_to("/proc/self/environ"), "is empty"),
    "link to itself": (lambda path: path.symlink_to(path.name), "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_once(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    make(Path("file"))
    with pytest.raises(FormatError, match=message):
        open_regular("file")


def test_names_that_no_file_has(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        open_regular("a\0b")
    with pytest.raises(FormatError, match="cannot be read"):
        open_regular(tmp_path / ("n" * 5000))
    assert not exists(Path("a\0b"))
    assert not exists(tmp_path / ("n" * 5000))
    assert exists(tmp_path)


def test_content_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 5) == b"12345"
    with pytest.raises(FormatError, match="has 5 bytes; a sound one has at most 4"):
        read_bytes(tmp_path / "file", 4)


def test_descriptors_are_closed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(FormatError):
            open_regular(tmp_path / "file")
    assert len(os.listdir("/proc/self/fd")) == before
