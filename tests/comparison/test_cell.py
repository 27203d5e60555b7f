"""One start from one seed: where it is kept, and when it counts as done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ghn.comparison import compare
from ghn.comparison.cell import finished, folder_of
from ghn.training.state import StateError
from tests.comparison.models import CONFIG, build, images

pytest.importorskip("sklearn")

ONE = replace(CONFIG, seeds=1, inits=("default",))


def test_another_training_does_not_pass_for_this_one(tmp_path: Path) -> None:
    compare(ONE, tmp_path, data=images(), build=build)
    longer = replace(ONE, training=replace(ONE.training, steps=9))
    assert finished(ONE, "default", 0, tmp_path) is not None
    assert finished(longer, "default", 0, tmp_path) is None
    with pytest.raises(StateError, match="take another folder"):
        compare(longer, tmp_path, data=images(), build=build)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"of": 1}', b"\xff\xfe"])
def test_a_damaged_result_is_made_again(tmp_path: Path, damage: bytes) -> None:
    before = compare(ONE, tmp_path, data=images(), build=build)
    (folder_of(tmp_path, "default", 0) / "cell.json").write_bytes(damage)
    found = compare(ONE, tmp_path, data=images(), build=build)
    assert found.cells[0].accuracies == before.cells[0].accuracies
    assert finished(ONE, "default", 0, tmp_path) == found.cells[0]


def test_starts_that_read_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    names = ["ghn:a/b", "ghn:a-b", "ghn:a b", "x" * 300, "x" * 301, "..", "ghn:../../etc", "\x1b[31m", "ü"]
    folders = {folder_of(tmp_path, name, 0) for name in names}
    assert len(folders) == len(names)
    assert all(folder.resolve().parent.parent == tmp_path.resolve() for folder in folders)
    for folder in folders:
        folder.mkdir(parents=True)
