"""The images of a fine-tuning, from wherever they come."""

from __future__ import annotations

import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ghn.data import DataError, ImageFolder, ImageStream, load
from ghn.data.sample import first_batches
from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.images import Images, memory_format_for, open_data, open_images, works
from ghn.training.ranks import Ranks
from tests.data.folders import write_folder
from tests.data.tars import write_shard
from tests.finetuning.networks import digits

pytest.importorskip("sklearn")
pytest.importorskip("torchvision")

CONFIG = FinetuneConfig(batch_size=4, hold_out=2, image_size=8)


def opened(folder: Path, config: FinetuneConfig = CONFIG) -> Images:
    return open_images(open_data(str(folder), config), config, Ranks())


@pytest.mark.parametrize("name", ["test", "val"])
def test_a_folder_with_test_images(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path, classes=3, count=4)
    if name == "val":
        (tmp_path / "test").rename(tmp_path / "val")
    data = open_data(str(tmp_path), CONFIG)
    assert isinstance(data.train, ImageFolder)
    assert isinstance(data.test, ImageFolder)
    assert (len(data.train), len(data.test), data.image_size) == (12, 12, 8)
    assert data.classes == ("class0", "class1", "class2")
    assert {Path(str(file)).parent.parent.name for file in data.train.files} == {"train"}
    assert {Path(str(file)).parent.parent.name for file in data.test.files} == {name}


@pytest.mark.parametrize("inside", [True, False])
def test_of_a_folder_without_test_images_a_fifth_becomes_them(inside: bool, tmp_path: Path) -> None:
    write_folder(tmp_path, classes=3, count=10)
    shutil.rmtree(tmp_path / "test")
    data = open_data(str(tmp_path if inside else tmp_path / "train"), CONFIG)
    assert isinstance(data.train, ImageFolder)
    assert isinstance(data.test, ImageFolder)
    assert (len(data.train), len(data.test)) == (24, 6)
    assert data.test.labels.bincount().tolist() == [2, 2, 2]
    assert not set(data.train.files) & set(data.test.files)
    again = open_data(str(tmp_path if inside else tmp_path / "train"), replace(CONFIG, seed=7))
    assert isinstance(again.test, ImageFolder)
    assert again.test.files == data.test.files


def test_folders_get_224_pixels_where_nothing_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=2, count=4)
    images = opened(tmp_path, replace(CONFIG, image_size=None))
    assert images.train.batch(0)[0].shape == (4, 3, 224, 224)


def test_what_is_held_out_is_not_trained_on() -> None:
    train, test = digits(100, 20)
    config = FinetuneConfig(hold_out=30, few_shot=40, augment="none", batch_size=10)
    images = open_images(open_data((train, test), config), config, Ranks())
    assert isinstance(images.train, ImageStream)
    assert isinstance(images.held_out, ImageStream)
    assert (len(images.train.image_set), len(images.held_out.image_set)) == (40, 30)
    pixels = {image.numpy().tobytes() for image in images.held_out.image_set.images}
    assert not pixels & {image.numpy().tobytes() for image in images.train.image_set.images}
    assert sum(len(labels) for _, labels in images.sample(25)) == 25
    default = replace(config, hold_out=None, few_shot=None)
    assert open_images(open_data((train, test), default), default, Ranks()).train.images_per_epoch == 90
    none = replace(config, hold_out=0, few_shot=None)
    assert open_images(open_data((train, test), none), none, Ranks()).held_out is None


def test_a_part_is_a_part_of_the_batch(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=3, count=4)
    data: Any
    for data in (digits(40, 20), str(tmp_path)):
        for augment in ("crop", "randaugment", "none"):
            config = replace(CONFIG, augment=augment, seed=3)  # type: ignore[arg-type]
            found = open_data(data, config)
            whole = open_images(found, config, Ranks()).train.batch(5)
            part = open_images(found, config, Ranks(), part=[3, 1]).train.batch(5)
            torch.testing.assert_close(part[0], whole[0][[3, 1]])
            assert part[1].tolist() == whole[1][[3, 1]].tolist()


def test_augmentations_differ(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=3, count=4)
    data: Any
    for data in (digits(40, 20), str(tmp_path)):
        batches = []
        for augment in ("crop", "randaugment", "trivialaugment", "none"):
            config = replace(CONFIG, augment=augment)  # type: ignore[arg-type]
            batches.append(open_images(open_data(data, config), config, Ranks()).train.batch(0)[0])
        assert not any(torch.equal(batches[one], batches[other]) for one in range(4) for other in range(one))


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    write_folder(tmp_path / "some", classes=2, count=4)
    (tmp_path / "some" / "test" / "class1").rename(tmp_path / "some" / "test" / "other")
    (tmp_path / "empty").mkdir()
    train, test = digits(20, 20)
    lettered = replace(test, classes=tuple("abcdefghij"))
    cases: list[tuple[Any, str]] = [
        (str(tmp_path / "some"), "differ in their classes: class1 only among training images"),
        (str(tmp_path / "empty"), "no images in"),
        (str(tmp_path / "nothing"), "is no data set, and no folder of images; there are cifar10"),
        ("cifar", "did you mean cifar10 or cifar100?"),
        ((train, lettered), "training and test images of digits differ in their classes: 0, 1, 2 only among training"),
        ((train, replace(test, classes=test.classes[::-1])), "have the same classes in another order"),
        ((train, test.subset([])), "digits has 20 training and 0 test images; each needs some"),
        (train, "a pair of ImageSets (training, test)"),
        ((train, [1]), "a pair of ImageSets (training, test)"),
    ]
    for data, message in cases:
        with pytest.raises(DataError, match=re.escape(message)) as caught:
            open_data(data, CONFIG)
        assert "\n" not in str(caught.value)


def test_a_corrupt_image_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=2, count=4)
    file = tmp_path / "train" / "class0" / "0000.png"
    file.write_bytes(file.read_bytes()[:60])
    images = opened(tmp_path, replace(CONFIG, hold_out=0, batch_size=8))
    with pytest.raises(DataError, match=rf"{re.escape(str(file))} cannot be read as an image"):
        images.train.batch(0)


def test_processes_evaluate_on_a_share_each(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=3, count=4)
    data: Any
    for data in (digits(40, 20), str(tmp_path)):
        config = replace(CONFIG, test_images=7, hold_out=2)
        found = open_data(data, config)
        alone = open_images(found, config, Ranks())
        shares = [open_images(found, config, Ranks(rank=rank, world=3)) for rank in range(3)]
        assert [images.test and images.test.images_per_epoch for images in shares] == [3, 2, 2]
        assert [images.held_out and images.held_out.images_per_epoch for images in shares] == [1, 1, None]
        assert all(images.holds_out for images in shares)
        assert alone.test is not None
        whole = {image.numpy().tobytes() for images, _ in _batches(alone.test) for image in images}
        parts = [{one.numpy().tobytes() for some, _ in _batches(images.test) for one in some} for images in shares]
        assert set.union(*parts) == whole


def _batches(stream: Any) -> Any:
    return first_batches(stream, stream.images_per_epoch)


@pytest.mark.parametrize(
    ("layer", "safe"),
    [
        (nn.Conv2d(3, 48, 1, 2), False),
        (nn.Conv2d(14, 28, 1, (2, 1), groups=2), False),
        (nn.Conv2d(8, 48, 1, 2), True),
        (nn.Conv2d(3, 48, 1), True),
        (nn.Conv2d(3, 48, 3, 2), True),
        (nn.Linear(3, 3), True),
    ],
)
def test_images_are_channels_last_where_that_is_safe(layer: nn.Module, safe: bool) -> None:
    """Unsafe is what makes the C++ library write past its memory; a process may survive that for a while."""
    network = nn.ModuleDict({"deep": nn.Sequential(nn.ReLU(), layer)})
    assert memory_format_for(network) is (torch.channels_last if safe else torch.contiguous_format)


def test_batches_lie_in_memory_as_they_are_to() -> None:
    pytest.importorskip("sklearn")
    stream = ImageStream(load("digits"), batch_size=4, seed=0)
    for form in (torch.channels_last, torch.contiguous_format):
        found = list(works(stream, 2, 4, form))
        assert len(found) == 2
        for (images, labels), index in zip(found, (2, 3), strict=True):
            assert images.is_contiguous(memory_format=form)
            assert torch.equal(images, stream.batch(index)[0])
            assert torch.equal(labels, stream.batch(index)[1])


def test_images_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setenv("GHN_CACHE", str(tmp_path / "cache"))
    config = FinetuneConfig(data=f"webdataset:{write_shard(tmp_path / 'shards')}", image_size=16)
    data = open_data(config.data, config)
    assert (len(data.train), len(data.test), data.image_size, data.classes) == (13, 3, 16, ("0", "1"))


def test_damaged_images_are_passed_over_wherever_they_are_shown(tmp_path: Path) -> None:
    """By the start, among held-out images and among test images, and not in training alone."""
    write_folder(tmp_path, classes=2, count=10)
    for split in ("train", "test"):
        (tmp_path / split / "class0" / "0003.png").write_bytes(b"no image")
    for hold_out in (2, 18):
        config = replace(CONFIG, hold_out=hold_out, skip_damaged=1, batch_size=2)
        images = opened(tmp_path, config)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            images.sample(20)
            for stream in (images.held_out, images.test):
                assert stream is not None
                list(first_batches(stream, stream.images_per_epoch))
        damaged = [str(one.message) for one in said]
        assert len(damaged) == 2, damaged
        assert all("class0/0003.png cannot be read" in line for line in damaged)
        strict = opened(tmp_path, replace(config, skip_damaged=0)).test
        assert strict is not None
        with pytest.raises(DataError, match=r"0003\.png cannot be read"):
            list(first_batches(strict, strict.images_per_epoch))


def test_one_class_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=1, count=4)
    with pytest.raises(DataError, match=r"has only the class class0; a folder of images holds one folder for each"):
        open_data(str(tmp_path), CONFIG)
