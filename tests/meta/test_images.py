"""What a run trains on, and what it holds out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ghn.data import DataError, ImageFolder, ImageFolderStream, ImageSet, ImageStream
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.images import open_images, training_images
from ghn.training.ranks import Ranks
from tests.data.tars import write_shard
from tests.meta.tiny import TINY

CONFIG = replace(TINY, image_size=8, images=8, augment=False)


def some_images(count: int = 250, classes: int = 10, size: int = 8) -> ImageSet:
    """All pixels of image i are i."""
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, size, size).contiguous()
    return ImageSet(
        name="toy",
        images=images,
        labels=torch.arange(count) % classes,
        classes=tuple(map(str, range(classes))),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


def numbers(batches: Iterable[tuple[Tensor, Tensor]]) -> set[int]:
    """Which images these are."""
    return {round(255 * float(image[0, 0, 0])) for images, _ in batches for image in images}


def in_memory(stream: ImageStream | ImageFolderStream | None) -> ImageStream:
    assert isinstance(stream, ImageStream)
    return stream


def test_what_is_held_out_is_never_trained_on() -> None:
    config = replace(CONFIG, hold_out=70, validate_every=1)
    opened = open_images(config, Ranks(), some_images())
    train, held = in_memory(opened.train), in_memory(opened.held_out)
    assert (len(train.image_set), len(held.image_set)) == (180, 70)
    assert numbers(held.epoch()) <= set(range(250)) - numbers([*train.epoch(), train.rest()])
    assert torch.bincount(held.image_set.labels).tolist() == [7] * 10
    # Another seed of the training leaves them where they are: results of seeds can be compared.
    other = open_images(replace(config, seed=3), Ranks(), some_images())
    assert torch.equal(in_memory(other.held_out).image_set.images, held.image_set.images)
    assert not torch.equal(other.train.batch(0)[0], train.batch(0)[0])


def test_few_shot_takes_of_what_is_not_held_out() -> None:
    config = replace(CONFIG, hold_out=200, few_shot=50, validate_every=1)
    opened = open_images(config, Ranks(), some_images())
    train, held = in_memory(opened.train), in_memory(opened.held_out)
    assert not numbers([*train.epoch(), train.rest()]) & numbers([*held.epoch(), held.rest()])
    with pytest.raises(DataError, match="51 images were asked for, toy has 50"):
        open_images(replace(config, few_shot=51), Ranks(), some_images())


def test_the_seed_decides_which_few_are_taken() -> None:
    config = replace(CONFIG, few_shot=50)
    first, again, other = (
        numbers(
            [
                *(train := in_memory(open_images(replace(config, seed=seed), Ranks(), some_images()).train)).epoch(),
                train.rest(),
            ]
        )
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(("hold_out", "left"), [(0, 250), (1, 249), (7, 243), (100, 150)])
def test_without_validation_any_number_may_be_held_out(hold_out: int, left: int) -> None:
    opened = open_images(replace(CONFIG, hold_out=hold_out), Ranks(), some_images())
    assert opened.held_out is None
    assert len(in_memory(opened.train).image_set) == left


def test_only_training_images_are_augmented() -> None:
    config = replace(CONFIG, hold_out=64, validate_every=1, augment=True)
    opened = open_images(config, Ranks(), some_images())
    # Crops reach over the border.
    assert any(len(image.unique()) > 1 for image in opened.train.batch(0)[0])
    held = in_memory(opened.held_out)
    assert all(len(image.unique()) == 1 for image in held.batch(0)[0])
    plain = open_images(replace(config, augment=False), Ranks(), some_images())
    assert all(len(image.unique()) == 1 for image in plain.train.batch(0)[0])


@pytest.mark.parametrize(
    ("changes", "images", "message"),
    [
        ({}, some_images(classes=7), "digits has 7 classes, the hypernetwork is for 10; set num_classes to 7"),
        ({}, some_images(size=9), "digits has images of 9 pixels, not 8; set image_size to 9"),
        ({"images": 251}, some_images(), "batches of 251 cannot be cut from the 250 images"),
        ({"hold_out": 241}, some_images(), "241 of 250 images cannot be held out"),
        ({"hold_out": 63, "validate_every": 1}, some_images(), "batches of 64 cannot be cut from the 63 images"),
    ],
)
def test_images_that_do_not_fit_are_refused(changes: dict[str, int], images: ImageSet, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_images(replace(CONFIG, **changes), Ranks(), images)  # type: ignore[arg-type]


def test_an_unknown_data_set_is_refused_with_the_names_of_others() -> None:
    with pytest.raises(DataError, match=r"unknown data set 'mnist'; there are .*digits.*, imagenet, folder"):
        training_images(replace(CONFIG, data="mnist"))
    with pytest.raises(ValueError, match="digits has images of 32 pixels, not 8"):
        open_images(CONFIG, Ranks())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`imagenet/train` and `train`, of ten classes with two and one images."""
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("torchvision")
    for at, count in ((tmp_path / "imagenet", 2), (tmp_path, 1)):
        for label in range(10):
            (at / "train" / f"{label}").mkdir(parents=True)
            for number in range(count):
                grey = 20 * label + 7 * number
                image.new("RGB", (12, 9), (grey, grey, grey)).save(at / "train" / f"{label}" / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("data", ["imagenet", "folder"])
def test_folders_are_where_they_are_said_to_be(root: Path, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = training_images(replace(CONFIG, data=data, data_root=str(root)))
    assert isinstance(opened, ImageFolder)
    assert (len(opened.files), opened.name, opened.image_size) == (10, data, 8)
    monkeypatch.setenv("GHN_DATA", str(root))
    by_default = training_images(replace(CONFIG, data="imagenet"))
    assert isinstance(by_default, ImageFolder)
    assert len(by_default.files) == 20


@pytest.mark.parametrize("shared", [True, False])
def test_a_rank_reads_from_files_what_its_networks_see(root: Path, shared: bool) -> None:
    config = replace(CONFIG, data="folder", data_root=str(root), images=2, shared_images=shared, meta_batch=3)
    whole, *parts = (open_images(config, Ranks(rank=r, world=w)).train for r, w in ((0, 1), (0, 2), (1, 2)))
    # As `ghn.meta.run` asks for them: a batch for each network of this rank, or one for all.
    for rank, part in enumerate(parts):
        slots = [0] if shared else [3 + slot for slot in Ranks(rank=rank, world=2).share(3)]
        for index in slots:
            assert torch.equal(part.batch(index)[0], whole.batch(index)[0])
        # Workers decode ahead just these.
        assert isinstance(part, ImageFolderStream)
        assert [part.every * (0 if shared else 1) + slot for slot in part.taken] == slots


def test_images_of_folders_are_held_out_too(root: Path) -> None:
    config = replace(CONFIG, data="folder", data_root=str(root / "imagenet"), images=2, hold_out=5)
    opened = open_images(config, Ranks())
    assert isinstance(opened.train, ImageFolderStream)
    assert opened.held_out is None
    assert opened.train.images_per_epoch == 15


def test_a_folder_must_be_named() -> None:
    with pytest.raises(DataError, match="data is 'folder', but data_root names none; set it to the folder that holds"):
        training_images(replace(CONFIG, data="folder", data_root=None))


def test_images_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setenv("GHN_CACHE", str(tmp_path / "cache"))
    config = MetaTrainingConfig(data=f"webdataset:{write_shard(tmp_path / 'shards')}", image_size=32)
    images = training_images(config)
    assert (len(images), images.image_size, images.classes) == (13, 32, ("0", "1"))
