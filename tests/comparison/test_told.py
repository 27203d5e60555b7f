"""How far trainings in other processes are."""

import time
from pathlib import Path

import pytest

from ghn.common.progress import Bar
from ghn.comparison import told as module
from ghn.comparison.told import FILE, Told, folder_of, told, watched


def test_a_share_is_told_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "a" / "b"
    assert told(home) == 0
    bar = Told(home)
    bar.move(0.25, "1/4", "loss")
    bar.move(0.5, "2/4", "loss")
    assert told(home) == 0.25, "not oftener than anyone looks"
    monkeypatch.setattr(module, "TELL_SECONDS", 0.0)
    bar.move(0.5, "2/4", "loss")
    assert told(home) == 0.5


@pytest.mark.parametrize("content", [b"", b"x", b"nan", b"2", b"-1", b"\xff", b"0" * 100 + b"x"])
def test_what_is_no_share_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert told(tmp_path) == 0


def test_a_folder_that_cannot_be_written_ends_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Told(tmp_path / "file" / "x").move(0.5, "", "")


def test_the_bar_shows_those_that_are_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TELL_SECONDS", 0.01)
    moves: list[tuple[float, str, str]] = []
    monkeypatch.setattr(Bar, "move", lambda _, *given: moves.append(given))
    places = [("ghn", 0), ("default", 0), ("ghn", 1)]
    stale = folder_of(tmp_path, "ghn", 1)
    stale.mkdir(parents=True)
    (stale / FILE).write_text("0.9")
    done = {places[0]}
    bar = Bar()
    bar.begin(3, "all")
    bar.advance("the first")
    with watched(tmp_path, places, done, bar):
        home = folder_of(tmp_path, *places[1])
        home.mkdir(parents=True)
        (home / FILE).write_text("0.5")
        deadline = time.monotonic() + 5
        while not moves or moves[-1][2] != "1 under way":
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert moves[-1] == (pytest.approx(1.5 / 3), "1/3", "1 under way")


def test_folders_of_starts_differ_and_can_be_read(tmp_path: Path) -> None:
    assert folder_of(tmp_path, "ghn+noise:0.3", 1).name == "seed-1"
    assert folder_of(tmp_path, "a:b", 0) != folder_of(tmp_path, "a-b", 0)
    assert "ghn+noise" in str(folder_of(tmp_path, "ghn+noise:0.3", 1))
