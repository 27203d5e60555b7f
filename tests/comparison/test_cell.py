"""One start from one seed: where it is kept, and when it counts as done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ghn.comparison import compare
from ghn.comparison.cell import Task, folder_of
from ghn.finetuning import open_data
from ghn.training.state import StateError
from tests.comparison.models import CONFIG, build, images

pytest.importorskip("sklearn")

ONE = replace(CONFIG, seeds=1, inits=("default",))


def test_another_training_does_not_pass_for_this_one(tmp_path: Path) -> None:
    compare(ONE, tmp_path, data=images(), build=build)
    longer = replace(ONE, training=replace(ONE.training, steps=9))
    assert list(tmp_path.glob("*/*/cell.json"))
    data = open_data(images(), ONE.training)
    same, other = (Task(config=config, folder=tmp_path, build=build, data=data) for config in (ONE, longer))
    assert same.finished("default", 0) is not None
    assert other.finished("default", 0) is None
    with pytest.raises(StateError, match="take another folder"):
        compare(longer, tmp_path, data=images(), build=build)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"of": 1}', b"\xff\xfe"])
def test_a_damaged_result_is_made_again(tmp_path: Path, damage: bytes) -> None:
    before = compare(ONE, tmp_path, data=images(), build=build)
    (folder_of(tmp_path, "default", 0) / "cell.json").write_bytes(damage)
    found = compare(ONE, tmp_path, data=images(), build=build)
    assert found.cells[0].accuracies == before.cells[0].accuracies
    assert json.loads((folder_of(tmp_path, "default", 0) / "cell.json").read_text())["error"] is None


def test_other_points_of_the_curve_are_another_training_of_the_same_folder(tmp_path: Path) -> None:
    first = compare(ONE, tmp_path, data=images(), build=build).cells[0]
    finer = replace(ONE, training=replace(ONE.training, validate_every=2))
    second = compare(finer, tmp_path, data=images(), build=build).cells[0]
    assert second.steps == (0, 2, 4, 6, 8)
    assert second.accuracies[::2] == first.accuracies
    assert compare(ONE, tmp_path, data=images(), build=build).cells[0].accuracies == first.accuracies


def test_other_images_do_not_pass_for_these(tmp_path: Path) -> None:
    compare(ONE, tmp_path, data=images(), build=build)
    train, test = images()
    shifted = replace(train, labels=(train.labels + 1) % 10)
    with pytest.raises(StateError, match="take another folder"):
        compare(ONE, tmp_path, data=(shifted, test), build=build)


def test_a_file_of_weights_that_changed_does_not_pass_for_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    model = build(ONE, 10)
    save_file(model.state_dict(), file)
    config = replace(ONE, inits=(str(file),))
    compare(config, tmp_path / "runs", data=images(), build=build)
    save_file({name: value + 1 for name, value in model.state_dict().items()}, file)
    with pytest.raises(StateError, match="take another folder"):
        compare(config, tmp_path / "runs", data=images(), build=build)


def test_starts_that_read_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    names = ["ghn:a/b", "ghn:a-b", "ghn:a b", "x" * 300, "x" * 301, "..", "ghn:../../etc", "\x1b[31m", "ü"]
    folders = {folder_of(tmp_path, name, 0) for name in names}
    assert len(folders) == len(names)
    assert all(folder.resolve().parent.parent == tmp_path.resolve() for folder in folders)
    for folder in folders:
        folder.mkdir(parents=True)
