"""Addresses of fsspec that do not answer, as they are told. What works is in test_place.py."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.experiments.grid.remote import RemotePlace
from ghn.experiments.grid.store import Store
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


class ProtocolError(Exception):
    """As botocore's and aiohttp's: no OSError."""


@pytest.mark.parametrize("operation", ["pipe_file", "cat_file", "ls"])
def test_errors_of_a_protocol_are_one_line_whenever_they_come(
    operation: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def fails(*_: Any, **__: Any) -> None:
        raise ProtocolError("no endpoint\nanswers")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    address = f"memory://{uuid.uuid4().hex}"
    told = rf"{address} cannot hold results \(ProtocolError: no endpoint answers\); what it has stays"
    with Store(RemotePlace(address)) as store, Store(RemotePlace(address)) as other:
        assert other.claim("a" * 32)
        monkeypatch.setattr(MemoryFileSystem, operation, fails)
        with pytest.raises(StateError, match=told):
            store.claim("a" * 32)
        monkeypatch.undo()
        assert not store.claim("a" * 32), "no answer is none that nobody holds it"


@pytest.mark.parametrize("read", ["records", "release", "finish"])
def test_errors_of_a_protocol_are_told_by_all_that_a_store_does(
    read: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def fails(*_: Any, **__: Any) -> None:
        raise ProtocolError("no endpoint answers")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Store(RemotePlace(f"memory://{uuid.uuid4().hex}")) as store:
        assert store.claim("a" * 32)
        monkeypatch.setattr(MemoryFileSystem, "ls" if read == "records" else "rm_file", fails)
        calls: dict[str, Callable[[], object]] = {
            "records": lambda: list(store.records([])),
            "release": lambda: store.release("a" * 32),
            "finish": lambda: store.finish({"digest": "a" * 32, "value": {}}),
        }
        with pytest.raises(StateError, match="cannot hold results"):
            calls[read]()


def test_a_place_is_unpacked_where_it_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def fails(*_: Any, **__: Any) -> None:
        raise ProtocolError("no endpoint answers")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sent = pickle.dumps(RemotePlace("memory://sent"))
    for operation in ("ls", "cat_file", "info"):
        monkeypatch.setattr(MemoryFileSystem, operation, fails)
    place = pickle.loads(sent)
    with pytest.raises(OSError, match="ProtocolError: no endpoint answers"):
        place.read("format.json")
    with pytest.raises(OSError, match="ProtocolError: no endpoint answers"):
        place.is_held("drivers/me")  # no answer is none that it has gone


@pytest.mark.parametrize(
    "address", ["zip://x::{}/no.zip", "zip://x::{}/no/such/folder/a.zip", "simplecache::zip://::{}/no"]
)
def test_an_archive_that_is_not_there_is_one_line(address: str, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"cannot be reached .*; nothing was computed"):
        RemotePlace(address.format(tmp_path))


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
