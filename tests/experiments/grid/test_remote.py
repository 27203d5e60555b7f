"""Addresses of fsspec that do not answer, as they are told. What works is in test_place.py."""

from __future__ import annotations

from typing import Any

import pytest

from ghn.experiments.grid.remote import RemotePlace
from ghn.training.state import StateError

fsspec = pytest.importorskip("fsspec")


def test_an_address_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refused(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("no route\nto the host")

    monkeypatch.setattr(MemoryFileSystem, "ls", refused)
    with pytest.raises(
        StateError, match=r"memory://x cannot be reached \(no route to the host\); nothing was computed"
    ):
        RemotePlace("memory://x")


def test_what_is_kept_whole_is_not_there_before_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = RemotePlace("memory://half-a-folder")
    place.put("files/x/weights", b"1")
    assert place.folder("files/x") is None
    place.put("files/x.whole", b"weights\nlost")
    assert place.folder("files/x") is None, "a file of it is gone"
    place.put("files/x/lost", b"2")
    folder = place.folder("files/x")
    assert folder is not None
    assert (folder / "lost").read_bytes() == b"2"


@pytest.mark.parametrize("listed", [b"\xff", b"../y/weights", b"/weights", b"weights\n\0", b"."])
def test_a_damaged_list_is_that_of_no_folder(listed: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = RemotePlace("memory://damaged")
    for name in ("x", "y"):
        place.put(f"files/{name}/weights", b"1")
    place.put("files/x.whole", listed)
    assert place.folder("files/x") is None
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
