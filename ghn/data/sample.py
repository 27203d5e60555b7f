"""The first images of a stream, a data set or a folder, in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ghn.data.errors import DataError
from ghn.data.image_folder import ImageFolderStream
from ghn.data.load import DATA_SETS, SHARDS, load, load_shards, training_images
from ghn.data.stream import ImageStream

BATCH_SIZE = 64
"""Images in a batch of the evaluation protocol (Knyazev et al., NeurIPS 2021, section 4.1)."""


def sample_batches(
    source: str, images: int, *, root: str | os.PathLike[str] | None = None, image_size: int = 224, seed: int = 0
) -> list[tuple[Tensor, Tensor]]:
    """Training images without augmentation, normalised, in a random order.

    Args:
        source: A data set's name (see `DATA_SETS`), or a folder that holds `<class>/*.jpg`, or `train/<class>/*.jpg`,
            or `webdataset:PLACE` (see `load_shards`).
        images: How many at most; a last batch of a single image is left out.
        root: Where data sets are; see `ghn.data.load.data_root`.
        image_size: Side in pixels that images of a folder get; data sets have their own.
        seed: Governs which.

    Returns:
        Images (B, 3, H, W) float32 and labels (B,) int64, B at most 64.

    Raises:
        DataError: If the source is unknown, missing or damaged.
    """
    stream: ImageStream | ImageFolderStream
    if source in DATA_SETS:
        found = load(source, root=root, split="train")
        stream = ImageStream(found, batch_size=min(BATCH_SIZE, len(found), images), seed=seed)
    elif source.startswith(SHARDS):
        shards, _ = load_shards(source, image_size)
        stream = ImageFolderStream(shards, batch_size=min(BATCH_SIZE, len(shards), images), seed=seed)
    else:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise DataError(f"{source} is no folder, and no data set; there are {', '.join(DATA_SETS)}")
        # Those that a training from here sees: test images are not for calibration.
        files = training_images(folder, image_size)
        stream = ImageFolderStream(files, batch_size=min(BATCH_SIZE, len(files), images), seed=seed)
    count = min(images, stream.images_per_epoch)
    if count > stream.batch_size and count % stream.batch_size == 1:
        count -= 1
    return list(first_batches(stream, count))


def first_batches(stream: ImageStream | ImageFolderStream, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The first `count` images of the first epoch.

    The last batch holds what is left: at least two images, as one has no statistics, so it may be larger by one.
    """
    whole, left = divmod(count, stream.batch_size)
    joined = left == 1 and whole > 0
    yield from (stream.batch(index) for index in range(whole - joined))
    if not left:
        return
    parts = [stream.batch(whole - 1)] if joined else []
    inputs, labels = stream.batch(whole) if whole < stream.batches_per_epoch else stream.rest()
    parts.append((inputs[:left], labels[:left]))
    yield torch.cat([inputs for inputs, _ in parts]), torch.cat([labels for _, labels in parts])
