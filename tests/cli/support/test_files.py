"""Output files that are checked before the work."""

import errno
from pathlib import Path

import pytest

from ghn.cli.support.files import check_writable, replaced


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    check_writable(tmp_path / "new.JSON", (".svg", ".json"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.json").write_text("old")
    check_writable(tmp_path / "old.json", (".json",))
    assert (tmp_path / "old.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.png", "the output {}/x.png must end in .json or .svg"),
        ("x", "the output {}/x must end in .json or .svg"),
        ("folder.json", "cannot write {}/folder.json: it is a folder; name a file in it"),
        ("no/x.json", "cannot write {0}/no/x.json: {0}/no does not exist; make it first"),
        ("file/x.json", "cannot write {0}/file/x.json: {0}/file is no folder"),
    ],
)
def test_what_cannot_be_written(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"\w") as caught:
        check_writable(tmp_path / name, (".json", ".svg"))
    assert str(caught.value) == message.format(tmp_path)


def test_a_folder_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(ValueError, match=r"x\.json: Permission denied; choose another folder$"):
        check_writable(tmp_path / "x.json", (".json",))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with replaced(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    with replaced(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(errno.ENOSPC, "No space left on device"), "No space left on device"), (OSError("odd"), "odd")],
)
def test_a_full_disk_is_told_in_one_line(error: OSError, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "file"

    def fill() -> None:
        with replaced(path):
            raise error

    with pytest.raises(ValueError, match=r"\w") as caught:
        fill()
    assert str(caught.value) == f"cannot write {path}: {reason}; nothing was written"
    assert list(tmp_path.iterdir()) == []
