"""Images that a hypernetwork brings along: written, read back, and refused where they are anything else."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ghn.checkpoint import CheckpointError, convert_checkpoint, hub, save_pretrained
from ghn.checkpoint.images import IMAGES_FILE, LARGEST, MOST_BYTES, images_beside, read_images, write_images
from ghn.data.image_set import ImageSet
from ghn.model import GHN, from_pretrained
from tests.checkpoint.files import TINY

META = {"data": "toy", "classes": '["a", "b"]', "mean": "[0.5, 0.4, 0.3]", "std": "[0.2, 0.3, 0.4]"}


def some_images(count: int = 6, size: int = 8) -> ImageSet:
    return ImageSet(
        name="toy",
        images=torch.arange(count * 3 * size * size).remainder(256).to(torch.uint8).view(count, 3, size, size),
        labels=torch.arange(count) % 2,
        classes=("a", "b"),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
        flip=False,
    )


def same(one: ImageSet | None, other: ImageSet) -> bool:
    assert one is not None
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.labels, other.labels)
        and replace(one, images=other.images, labels=other.labels).__dict__ == other.__dict__
    )


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    images = some_images()
    write_images(images, tmp_path / IMAGES_FILE)
    assert same(read_images(tmp_path / IMAGES_FILE), images)
    assert images_beside(tmp_path / "model.safetensors") is not None
    assert images_beside(tmp_path / "other" / "model.safetensors") is None


def test_a_hypernetwork_brings_them_along(tmp_path: Path, published: Path) -> None:
    images = some_images()
    save_pretrained(GHN(TINY), tmp_path / "one", images=images)
    assert "`images.safetensors` holds 6 training images of `toy`, 8 pixels" in (tmp_path / "one/README.md").read_text()
    for name in (tmp_path / "one", tmp_path / "one" / "model.safetensors"):
        assert same(from_pretrained(name).images, images)
    from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    assert same(from_pretrained(tmp_path / "two").images, images)
    convert_checkpoint(published, tmp_path / "three", images=images)
    assert same(from_pretrained(tmp_path / "three").images, images)
    assert from_pretrained(published).images is None


def test_those_of_the_package_are_balanced() -> None:
    for name in hub.bundled():
        images = from_pretrained(name).images
        assert images is not None
        assert images.name == "cifar10"
        counts = images.labels.bincount(minlength=10)
        assert len(images) == 64
        assert int(counts.max() - counts.min()) <= 1


def written(path: Path, tensors: dict[str, Any] | None = None, metadata: dict[str, str] | None = None) -> None:
    images = some_images()
    save_file({"images": images.images, "labels": images.labels, **(tensors or {})}, path, {**META, **(metadata or {})})


BAD = [
    ({"images": torch.zeros(6, 3, 8, 8)}, {}, r"does not hold images \(N, 3, H, W\) of 8 bits"),
    ({"images": torch.zeros(6, 1, 8, 8, dtype=torch.uint8)}, {}, "does not hold images"),
    ({"labels": torch.zeros(5, dtype=torch.int64)}, {}, "does not hold images"),
    ({"more": torch.zeros(5)}, {}, "and nothing else"),
    (
        {"images": torch.zeros(6, 3, 8, LARGEST + 1, dtype=torch.uint8)},
        {},
        "holds images of 1,025×8 pixels, not 1 to 1,024 on each side",
    ),
    (
        {"images": torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "labels": torch.zeros(1, dtype=torch.int64)},
        {},
        "holds 1 images, not 2 to 4,096",
    ),
    ({"labels": torch.full((6,), 2)}, {}, r"toy: labels outside 0\.\.1; the data set is damaged"),
    ({}, {"data": ""}, "does not name its data set in its metadata"),
    ({}, {"classes": "7"}, "does not name its classes"),
    ({}, {"mean": "[1, 2]"}, "does not state the mean of three channels"),
    ({}, {"mean": "[1, 2, NaN]"}, "does not state the mean of three channels"),
    ({}, {"std": "[1, 0, 1]"}, "does not state the std of three channels"),
    ({}, {"std": "[" * 100_000}, "does not state the std of three channels"),
]


@pytest.mark.parametrize(("tensors", "metadata", "message"), BAD)
def test_anything_else_is_refused(
    tensors: dict[str, Any], metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    written(tmp_path / IMAGES_FILE, tensors, metadata)
    with pytest.raises(CheckpointError, match=message) as error:
        read_images(tmp_path / IMAGES_FILE)
    assert "\n" not in str(error.value)
    assert str(tmp_path / IMAGES_FILE) in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / IMAGES_FILE
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_images(path)
    path.unlink()
    written(path)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(CheckpointError, match="no sound safetensors file"):
        read_images(path)
    with open(path, "wb") as file:
        file.write(content)
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(CheckpointError, match=r"has 33,554,433 bytes; images to bring along take at most 33,554,432"):
        read_images(path)
    path.write_bytes(struct.pack("<Q", 5) + b"hello" + bytes(100))
    with pytest.raises(CheckpointError, match="is no JSON"):
        read_images(path)
    path.write_bytes(struct.pack("<Q", len(json.dumps({}))) + b"{}")
    with pytest.raises(CheckpointError, match="does not hold images"):
        read_images(path)


def test_more_than_is_read_back_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="1 images, not 2 to 4,096, to be brought along; take fewer or smaller"):
        save_pretrained(GHN(TINY), tmp_path / "out", images=some_images(1))
    assert not (tmp_path / "out").exists()
