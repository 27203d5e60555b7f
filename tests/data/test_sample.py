"""Some images of a data set or a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ghn.data import DataError
from ghn.data.load import load
from ghn.data.sample import sample_batches


@pytest.mark.parametrize(("images", "sizes"), [(64, [64]), (100, [64, 36]), (65, [64]), (20, [20]), (10**6, None)])
def test_as_many_as_are_wanted_or_there(images: int, sizes: list[int] | None) -> None:
    pytest.importorskip("sklearn")
    count = len(load("digits"))
    found = [len(labels) for _, labels in sample_batches("digits", images)]
    assert found == (sizes or [64] * (count // 64) + [count % 64] * (count % 64 > 1))


def test_the_seed_says_which_and_none_comes_twice() -> None:
    pytest.importorskip("sklearn")
    one, same, other = (torch.cat([x for x, _ in sample_batches("digits", 128, seed=seed)]) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert len(one.flatten(1).unique(dim=0)) > 120


def test_a_folder_with_or_without_a_split(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("torchvision")
    for index, name in enumerate(("cat", "dog")):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(5):
            image.new("RGB", (40, 40), (80 * index, 0, number)).save(tmp_path / "train" / name / f"{number}.png")
    for source in (tmp_path, tmp_path / "train"):
        ((images, labels),) = sample_batches(str(source), 100, image_size=32)
        # A fifth are test images of whoever trains on the folder.
        assert images.shape == (8, 3, 32, 32)
        assert sorted(labels.tolist()) == [0] * 4 + [1] * 4


def test_of_one_image_a_class_none_is_held_out(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("torchvision")
    for index, name in enumerate(("cat", "dog", "eel", "fox", "gnu")):
        (tmp_path / name).mkdir()
        image.new("RGB", (40, 40), (40 * index, 0, 0)).save(tmp_path / name / "0.png")
    ((_, labels),) = sample_batches(str(tmp_path), 100, image_size=32)
    assert sorted(labels.tolist()) == [0, 1, 2, 3, 4]


def test_what_is_neither(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nosuch is no folder, and no data set; there are cifar10"):
        sample_batches("nosuch", 10)
    with pytest.raises(DataError):
        sample_batches(str(tmp_path), 10)
