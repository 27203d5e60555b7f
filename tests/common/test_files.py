"""Files and folders that are written whole or not at all: failures, kills, modes, links, several writers."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ghn.common.files import PARTIAL, digest_of_file, remove_partial, replaced, replaced_folder, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from ghn.common.files import replaced, replaced_folder

with {function}(Path(sys.argv[1])) as temporary:
    (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Sets the umask; the old one comes back."""
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fail_in(context: AbstractContextManager[Path]) -> None:
    """Write half a file, or one of two, and stop."""

    def write() -> None:
        with context as temporary:
            (temporary / "new" if temporary.is_dir() else temporary).write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()


def kill_in(function: str, path: Path) -> None:
    """Let a process of its own write, and kill it in the middle."""
    killed = subprocess.run([sys.executable, "-c", KILLED.format(function=function), str(path)], check=False)
    assert killed.returncode == -9


# Files


@pytest.mark.parametrize("old", ["old", None])
def test_a_file_appears_when_it_is_whole(old: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_text(old)
    with replaced(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent.parent == tmp_path
        assert temporary.name == "file"
        assert (path.read_text() if path.exists() else None) == old
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path, kept = tmp_path / "file", tmp_path / "kept"
    path.write_text("old")
    kept.write_text("older")
    fail_in(replaced(path, keep=kept))
    assert (path.read_text(), kept.read_text()) == ("old", "older")
    assert names(tmp_path) == ["file", "kept"]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    kill_in("replaced", path)
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    remove_partial(tmp_path)
    assert names(tmp_path) == ["file"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replaced(tmp_path / "no" / "file"):
        pytest.fail("there is nowhere to write to")


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_is_that_of_a_new_file(mask: int, expected: int, umask: Callable[[int], int], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o640)
    umask(mask)
    with replaced(path) as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o400))
        temporary.chmod(0o600)
    assert mode(path) == expected


def test_numbers_reach_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "file", []
    sync, replace = os.fsync, os.replace

    def note_sync(file: int) -> None:
        order.append("sync")
        sync(file)

    def note_rename(source: Path, target: Path) -> None:
        order.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    write_text(path, "new")
    assert order == ["sync", "rename"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "é → 日\n")
    assert (tmp_path / "file").read_bytes() == "é → 日\n".encode()


# What a new file replaces


@pytest.mark.parametrize("links", [True, False])
def test_the_old_file_is_kept(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path, kept = tmp_path / "file", tmp_path / "kept"
    for text, before in (("1", None), ("2", "1"), ("3", "2")):
        with replaced(path, keep=kept) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
        assert (kept.read_text() if kept.exists() else None) == before
    assert names(tmp_path) == ["file", "kept"]


def test_the_file_is_there_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kept, replace = tmp_path / "file", tmp_path / "kept", os.replace
    path.write_text("old")
    seen = []

    def look(source: Path, target: Path) -> None:
        seen.append(path.read_text())
        replace(source, target)
        seen.append(path.read_text())

    monkeypatch.setattr(os, "replace", look)
    with replaced(path, keep=kept) as temporary:
        temporary.write_text("new")
    assert seen == ["old", "old", "old", "new"]


def test_where_a_link_leads_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, path, kept = tmp_path / "elsewhere" / "target", tmp_path / "file", tmp_path / "kept"
    target.write_text("old")
    path.symlink_to(target)
    with replaced(path, keep=kept) as temporary:
        temporary.write_text("new")
    assert (target.read_text(), path.read_text(), kept.read_text()) == ("new", "new", "old")
    assert path.is_symlink()
    assert names(tmp_path / "elsewhere") == ["target"]


def test_where_a_dangling_link_leads_a_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.symlink_to(tmp_path / "nothing")
    write_text(path, "new")
    assert path.is_symlink()
    assert (tmp_path / "nothing").read_text() == "new"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_stays(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "thing")
    (tmp_path / "link").symlink_to("thing")
    before = (tmp_path / "thing").stat()
    for name in ("thing", "link"):
        with pytest.raises(OSError, match="no regular file"):
            write_text(tmp_path / name, "new")
    assert os.path.samestat((tmp_path / "thing").stat(), before)
    assert names(tmp_path) == ["link", "thing"]


def test_several_threads_write_the_same_file(tmp_path: Path) -> None:
    path, texts, failures = tmp_path / "file", [str(number) * 10_000 for number in range(4)], []

    def write(text: str) -> None:
        try:
            for _ in range(20):
                write_text(path, text)
                assert path.read_text() in texts
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names(tmp_path) == ["file"]


# Folders


def test_a_new_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "folder"
    with replaced_folder(folder) as temporary:
        (temporary / "file").write_text("new")
        (temporary / "inner").mkdir()
        assert not folder.exists()
    assert names(folder) == ["file", "inner"]
    assert names(tmp_path / "above") == ["folder"]


def test_in_an_existing_folder_files_are_replaced_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("old")
    (folder / "other").write_text("other")
    with replaced_folder(folder) as temporary:
        (temporary / "file").write_text("new")
        (temporary / "more").write_text("more")
        assert (folder / "file").read_text() == "old"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "file": "new",
        "other": "other",
        "more": "more",
    }
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_somebody_else_makes_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with replaced_folder(folder) as temporary:
        (temporary / "file").write_text("new")
        folder.mkdir()
        (folder / "file").write_text("theirs")
        (folder / "other").write_text("theirs")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"file": "new", "other": "theirs"}
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_leaves_nothing_of_a_folder(existing: bool, tmp_path: Path) -> None:
    folder = tmp_path / "above" / "folder"
    if existing:
        folder.mkdir(parents=True)
        (folder / "file").write_text("old")
    fail_in(replaced_folder(folder))
    if existing:
        assert names(folder) == ["file"]
    else:
        assert names(tmp_path) == []


def test_after_a_failure_folders_above_stay_where_somebody_else_uses_them(tmp_path: Path) -> None:
    def write() -> None:
        with replaced_folder(tmp_path / "above" / "folder"):
            (tmp_path / "above" / "theirs").touch()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert names(tmp_path / "above") == ["theirs"]


@pytest.mark.parametrize("existing", [False, True])
def test_a_kill_in_the_middle_of_a_folder(existing: bool, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if existing:
        folder.mkdir()
        (folder / "file").write_text("old")
    kill_in("replaced_folder", folder)
    remove_partial(folder if existing else tmp_path)
    assert names(tmp_path) == (["folder"] if existing else [])
    assert not existing or names(folder) == ["file"]


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with (
        pytest.raises(NotADirectoryError, match="file is a file, not a folder to write to"),
        replaced_folder(tmp_path / "file"),
    ):
        pytest.fail("there is nowhere to write to")
    assert names(tmp_path) == ["file"]


def test_a_link_to_a_folder_stays_and_the_files_go_where_it_points(tmp_path: Path) -> None:
    target, folder = tmp_path / "target", tmp_path / "folder"
    target.mkdir()
    folder.symlink_to(target)
    with replaced_folder(folder) as temporary:
        (temporary / "file").write_text("new")
    assert folder.is_symlink()
    assert names(target) == ["file"]


def test_a_relative_folder_while_the_current_one_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with replaced_folder(Path("folder")) as temporary:
        (temporary / "file").write_text("new")
        os.chdir("elsewhere")
    assert names(tmp_path / "folder") == ["file"]


# Leftovers


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    folder = tmp_path / "folder"
    (folder / f".a.0{PARTIAL}" / "inner").mkdir(parents=True)
    (folder / f".b.0{PARTIAL}").touch()
    (folder / f".c.0{PARTIAL}").symlink_to(outside)
    (folder / f".d.0{PARTIAL}").symlink_to(tmp_path / "nothing")
    for name in (f"visible{PARTIAL}", ".hidden", "file", f".e{PARTIAL}.txt"):
        (folder / name).touch()
    remove_partial(folder)
    assert names(folder) == sorted([f"visible{PARTIAL}", ".hidden", "file", f".e{PARTIAL}.txt"])
    assert names(outside) == ["inner"]
    remove_partial(tmp_path / "nothing")


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "ü" * 127):
        write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"
        (tmp_path / name).unlink()


def test_threads_that_make_the_same_folder_both_succeed(tmp_path: Path) -> None:
    def write(path: Path, name: str) -> None:
        with replaced_folder(path) as partial:
            (partial / name).write_text(name)

    with ThreadPoolExecutor(2) as pool:
        for number in range(50):
            folder = tmp_path / str(number) / "a"
            for done in [pool.submit(write, folder, name) for name in "xy"]:
                done.result()
            assert {file.name for file in folder.iterdir()} == {"x", "y"}


@pytest.mark.parametrize("function", ["replaced", "replaced_folder"])
def test_the_next_write_removes_what_a_killed_one_left(function: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    kill_in(function, path)
    assert len(names(tmp_path)) == 1
    write_text(tmp_path / "other", "x")
    assert len(names(tmp_path)) == 2
    if function == "replaced":
        write_text(path, "x")
    else:
        with replaced_folder(path) as temporary:
            (temporary / "file").touch()
    assert names(tmp_path) == ["it", "other"]


def test_what_another_writer_is_at_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replaced(path) as first, replaced(path) as second:
        first.write_text("first")
        second.write_text("second")
        write_text(path, "third")
        assert first.read_text() == "first"
        assert second.read_text() == "second"
    assert path.read_text() == "first"
    assert names(tmp_path) == ["file"]


def test_without_locks_nothing_is_taken_for_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    kill_in("replaced", tmp_path / "file")
    monkeypatch.setattr("fcntl.flock", none)
    write_text(tmp_path / "file", "x")
    assert len(names(tmp_path)) == 2
    assert (tmp_path / "file").read_text() == "x"


def test_files_of_a_folder_get_the_mode_of_new_ones(tmp_path: Path, umask: Callable[[int], int]) -> None:
    umask(0o027)
    with replaced_folder(tmp_path / "folder") as temporary:
        (temporary / "file").touch(mode=0o600)
    assert mode(tmp_path / "folder" / "file") == 0o640


def test_a_digest_is_of_what_a_file_holds(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"abc")
    second.write_bytes(b"abc")
    assert digest_of_file(first) == digest_of_file(second) == "ba7816bf8f01cfea"
    second.write_bytes(b"abd")
    assert digest_of_file(first) != digest_of_file(second)
