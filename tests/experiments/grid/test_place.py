"""The operations that a store builds on, in a folder and at an address of fsspec: the same for both."""

from __future__ import annotations

import os
import pickle
import threading
import time
import uuid
from pathlib import Path

import pytest

from ghn.experiments.grid.place import Beat, FolderPlace, Place, open_place
from ghn.training.state import StateError


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return open_place(f"memory://{uuid.uuid4().hex}/deep")
    return open_place(tmp_path / "deep" / "results")


def test_files_are_made_once_replaced_read_and_removed(place: Place) -> None:
    assert place.read("a/b") is None
    assert place.sizes("a") == {}
    assert place.create("a/b", b"first")
    assert not place.create("a/b", b"second")
    assert place.read("a/b") == b"first"
    place.put("a/b", b"third!")
    assert place.read("a/b") == b"third!"
    assert place.read("a/b", 3) == b"rd!"
    assert place.sizes("a") == {"b": 6}
    place.remove("a/b")
    place.remove("a/b")
    assert place.read("a/b") is None
    assert pickle.loads(pickle.dumps(place)).create("a/b", b"again")
    assert place.read("a/b") == b"again"


def test_lines_are_added(place: Place) -> None:
    for count, line in enumerate([b"one\n", b"two\n", b"three\n"]):
        place.add("results/me", line, count)
    found = b"".join(place.read(f"results/{name}") or b"" for name in sorted(place.sizes("results")))
    assert found == b"one\ntwo\nthree\n"


def test_folders_are_kept_whole(place: Place, tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "inner").mkdir(parents=True)
    (made / "inner" / "weights").write_bytes(b"\x00\xff")
    (made / "card").write_text("text")
    assert place.folder("files/x") is None
    place.put_folder(made, "files/x")
    place.put_folder(made, "files/x")
    found = place.folder("files/x")
    assert found is not None
    assert (found / "inner" / "weights").read_bytes() == b"\x00\xff"
    assert (found / "card").read_text() == "text"


def test_a_driver_is_seen_to_live_and_to_have_gone(place: Place) -> None:
    assert place.is_held("drivers/me") is False
    beat = Beat(place, "drivers/me", b"here", 0.05)
    first = place.read("drivers/me")
    assert first is not None
    assert first.startswith(b"here\n")
    assert place.is_held("drivers/me") is (True if place.local else None)
    end = time.monotonic() + 10
    while place.read("drivers/me") == first and time.monotonic() < end:
        time.sleep(0.02)
    assert place.read("drivers/me") != first, "its file changes while it lives"
    beat.end()
    assert place.is_held("drivers/me") is False


def test_what_cannot_be_opened_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="is a file, and no folder for results"):
        open_place(tmp_path / "file")
    pytest.importorskip("fsspec")
    with pytest.raises(ValueError, match="nosuch://x cannot be opened"):
        open_place("nosuch://x")
    assert isinstance(open_place(f"file://{tmp_path}"), FolderPlace)


def test_a_folder_that_is_not_needed_is_not_made(tmp_path: Path) -> None:
    place = open_place(tmp_path / "new")
    assert place.sizes("results") == {}
    assert not os.path.lexists(tmp_path / "new")


def test_what_goes_while_a_folder_is_listed_takes_nothing_with_it(tmp_path: Path) -> None:
    place = open_place(tmp_path)
    assert place.create("claims/stays", b"text")
    for number in range(200):
        assert place.create(f"claims/goes{number}", b"")
    missed, ended = [], threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            for number in range(200):
                place.remove(f"claims/goes{number}")
                place.create(f"claims/goes{number}", b"")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(200):
            missed += [] if place.sizes("claims").get("stays") == 4 else [1]
    finally:
        ended.set()
        thread.join()
    assert not missed
