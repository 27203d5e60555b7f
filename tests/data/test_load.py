"""Data sets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghn.data import DATA_SETS, DataError, load
from ghn.data.load import data_root


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
