"""Images to evaluate on and to calibrate by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ghn.data import DataError, ImageFolder, ImageStream, load
from ghn.data.load import load_folder
from ghn.evaluate import EvaluationConfig
from ghn.evaluate.images import EvaluationImages
from tests.data.tars import write_shard
from tests.evaluate.some import toy, write_classes
from tests.evaluate.test_config import CONFIG

CPU = torch.device("cpu")


def test_each_network_has_an_order_of_its_own() -> None:
    images = EvaluationImages(CONFIG, CPU, toy())
    first, again, other = (images.stream(number).batch(0)[0] for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, ImageStream(toy(), batch_size=16, seed=0).batch(0)[0])
    reseeded = EvaluationImages(replace(CONFIG, seed=1), CPU, toy()).stream(0).batch(0)[0]
    assert not torch.equal(first, reseeded)


def test_images_are_resized_a_batch_at_a_time() -> None:
    images = EvaluationImages(replace(CONFIG, image_size=20), CPU, toy(70))
    plain = EvaluationImages(CONFIG, CPU, toy(70))
    assert (images.size, plain.size) == (20, 32)
    for name in ("batch", "rest"):
        given, labels = getattr(images.stream(3), name)(*[0] * (name == "batch"))
        expected, same = getattr(plain.stream(3), name)(*[0] * (name == "batch"))
        wanted = functional.interpolate(expected, size=(20, 20), mode="bilinear", antialias=True)
        torch.testing.assert_close(given, wanted)
        assert torch.equal(labels, same)
    assert images.shape[0][0].shape == (2, 3, 20, 20)


def test_training_images_are_those_of_training() -> None:
    pytest.importorskip("sklearn")
    images = EvaluationImages(replace(CONFIG, calibration_images=40, image_size=16), CPU)
    batches = images.training
    assert sum(len(labels) for _, labels in batches) == 40
    assert batches[0][0].shape[1:] == (3, 16, 16)
    assert images.training is batches


def test_a_folder_of_images(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    for split in ("train", "val"):
        write_classes(tmp_path / split, "cat", "dog")
    config = replace(CONFIG, data=str(tmp_path), image_size=24, calibration_images=6)
    images = EvaluationImages(config, CPU)
    assert (images.classes, images.size, images.name) == (2, 24, str(tmp_path))
    inputs, labels = images.stream(0).batch(0)
    assert (inputs.shape, sorted(labels.tolist())) == ((8, 3, 24, 24), [0] * 4 + [1] * 4)
    assert sum(len(found) for _, found in images.training) == 6
    named = replace(config, data="folder", data_root=str(tmp_path))
    assert torch.equal(EvaluationImages(named, CPU).stream(0).batch(0)[0], inputs)
    as_imagenet = replace(config, data="imagenet", data_root=str(tmp_path))
    assert torch.equal(EvaluationImages(as_imagenet, CPU).stream(0).batch(0)[0], inputs)


def test_a_folder_without_splits_is_parted_as_for_a_training(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    write_classes(tmp_path, "cat", "dog")
    images = EvaluationImages(replace(CONFIG, data=str(tmp_path), image_size=24), CPU)
    train, test = load_folder(tmp_path, 24)
    assert isinstance(images.test, ImageFolder)
    assert images.test.files == test.files
    assert not set(train.files) & set(test.files)
    assert sum(len(labels) for _, labels in images.training) == len(train) == 8 - len(test)


def test_test_images_alone_give_nothing_to_calibrate_by(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    write_classes(tmp_path / "test", "cat", "dog")
    images = EvaluationImages(replace(CONFIG, data=str(tmp_path), image_size=24), CPU)
    with pytest.raises(DataError, match=r"has no train/<class>/\*\.jpg to calibrate by; put training images there"):
        _ = images.training


def test_given_images_are_not_calibrated_by_those_of_another_set() -> None:
    pytest.importorskip("sklearn")
    images = EvaluationImages(replace(CONFIG, data="cifar10"), CPU, load("digits", split="test"))
    with pytest.raises(DataError, match="test images of digits are given, and data is 'cifar10'"):
        _ = images.training


def test_other_classes_to_train_on(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    write_classes(tmp_path / "train", "cat", "cow")
    write_classes(tmp_path / "test", "cat", "dog")
    images = EvaluationImages(replace(CONFIG, data=str(tmp_path), image_size=24), CPU)
    with pytest.raises(DataError, match="has other classes to train on than to test on"):
        _ = images.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "nosuch"}, "unknown data set 'nosuch', and no folder; there are cifar10, cifar100, digits, imagenet"),
        ({"data": "folder"}, "data is 'folder', but data_root names none"),
        ({"data": "imagenet", "data_root": "/nowhere"}, "no imagenet in /nowhere: fetch ILSVRC2012"),
    ],
)
def test_images_that_are_not_there(changes: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        EvaluationImages(replace(CONFIG, **changes), CPU)  # type: ignore[arg-type]


def test_images_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setenv("GHN_CACHE", str(tmp_path / "cache"))
    data = f"webdataset:{write_shard(tmp_path / 'shards')}"
    images = EvaluationImages(EvaluationConfig(data=data, image_size=16), torch.device("cpu"))
    assert (len(images.test), images.classes, images.size) == (3, 2, 16)
    ((batch, labels),) = images.training
    assert batch.shape == (13, 3, 16, 16)
    assert set(labels.tolist()) == {0, 1}
