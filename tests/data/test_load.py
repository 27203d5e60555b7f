"""Data sets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghn.data import DATA_SETS, DataError, load
from ghn.data.load import data_root, load_folder, training_images
from tests.data.folders import write_folder


def test_unknown_names() -> None:
    with pytest.raises(DataError, match="unknown data set 'mnist'; there are cifar10, cifar100, digits"):
        load("mnist")
    with pytest.raises(DataError, match="split must be train or test, not 'val'"):
        load("digits", split="val")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(set(DATA_SETS) - {"digits"}))
def test_every_data_set_on_disk_says_what_to_fetch(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="fetch"):
        load(name, root=tmp_path)


def test_where_data_sets_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHN_DATA", "~/data")
    monkeypatch.setenv("HOME", "/home/someone")
    assert data_root(tmp_path) == tmp_path
    assert data_root() == Path("/home/someone/data")
    monkeypatch.setenv("GHN_DATA", "")
    assert data_root() == Path("/home/someone/.cache/ghn/data")


def test_images_that_a_training_sees(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=2, count=5)
    assert len(training_images(tmp_path, 32)) == len(load_folder(tmp_path, 32)[0]) == 10
    # Without a split a fifth is held out, unless a class has too few.
    assert len(training_images(tmp_path / "train", 32)) == 8
    for file in (tmp_path / "test").glob("*/000[1-4].png"):
        file.unlink()
    assert len(training_images(tmp_path / "test", 32)) == 2
    with pytest.raises(DataError):
        training_images(tmp_path / "nothing", 32)
