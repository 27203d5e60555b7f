"""The few training images that a hypernetwork's folder may bring along: batch-norm statistics are set from them.

Format: `images.safetensors` with `images` (N, 3, H, W) uint8 and `labels` (N,) int64; in its metadata the data set's
name, `data`, and as JSON the names of the `classes`, `mean` and `std` of the training images' channels, for values in
0..1.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.header import raw_header
from ghn.common.text import printable, shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import parse_json
from ghn.common.untrusted.opening import exists, open_regular
from ghn.data.errors import DataError
from ghn.data.image_set import ImageSet

IMAGES_FILE = "images.safetensors"

COUNT = 64
"""Images that are taken of a data set; `benchmarks/statistics_images.py` measures what their statistics are worth."""

MOST_BYTES = 32 << 20
"""Of the file: 200 images of 224 pixels."""

MOST_IMAGES, LARGEST, MOST_CLASSES, LONGEST_NAME = 4096, 1024, 100_000, 200
"""Images, pixels of a side, classes, and characters of the data set's name."""


def write_images(images: ImageSet, path: Path) -> None:
    """Write the file.

    Raises:
        CheckpointError: If there are more or larger images than are read back.
    """
    fault = _too_many(len(images), *map(int, images.images.shape[2:]))
    if fault or images.images.numel() > MOST_BYTES - (1 << 20):
        raise CheckpointError(f"{path}: {fault or 'too large'}, to be brought along; take fewer or smaller images")
    metadata = {
        "format": "pt",
        "data": images.name,
        "classes": json.dumps(images.classes),
        "mean": json.dumps(images.mean),
        "std": json.dumps(images.std),
        "flip": json.dumps(images.flip),
    }
    tensors = {"images": images.images.cpu().contiguous(), "labels": images.labels.cpu().contiguous()}
    save_file(tensors, path, metadata)


def read_images(path: Path) -> ImageSet:
    """Read the file.

    Raises:
        CheckpointError: In one line, if it is no ordinary file, too large, damaged, or holds anything else.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise FormatError(f"has {size:,} bytes; images to bring along take at most {MOST_BYTES:,}")
            header, _ = raw_header(file, size)
            count, height, width = _shape(header)
            file.seek(0)
            tensors = load(file.read(size))
        return _image_set(header.get("__metadata__"), tensors, (count, 3, height, width))
    except (CheckpointError, FormatError, DataError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: is no sound safetensors file ({shown(str(error))})") from None


def images_beside(weights: Path) -> ImageSet | None:
    """The images in the folder of a hypernetwork's weights, if there are any."""
    path = weights.parent / IMAGES_FILE
    return read_images(path) if exists(path) else None


def _shape(header: Mapping[str, Any]) -> tuple[int, int, int]:
    """N, H, W, as the header says, before any tensor is made."""
    match header.get("images"), header.get("labels"), len(header.keys() - {"__metadata__"}):
        case (
            {"dtype": "U8", "shape": [int() as count, 3, int() as height, int() as width]},
            {"dtype": "I64", "shape": [int() as labels]},
            2,
        ) if labels == count:
            fault = _too_many(count, height, width)
            if fault:
                raise CheckpointError(f"holds {fault}")
            return count, height, width
    raise CheckpointError("does not hold images (N, 3, H, W) of 8 bits with labels (N,), and nothing else")


def _too_many(count: int, height: int, width: int) -> str:
    """What is out of bounds; an empty text where nothing is."""
    if not 2 <= count <= MOST_IMAGES:
        return f"{count:,} images, not 2 to {MOST_IMAGES:,}"
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
        return f"images of {width:,}×{height:,} pixels, not 1 to {LARGEST:,} on each side"
    return ""


def _image_set(metadata: Any, tensors: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> ImageSet:
    values = metadata if isinstance(metadata, dict) else {}
    images = tensors["images"]
    if tuple(images.shape) != shape:
        raise CheckpointError("was changed while it was read; load it again")
    name, classes = values.get("data"), _parsed(values, "classes")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise CheckpointError("does not name its data set in its metadata")
    if not isinstance(classes, list) or len(classes) > MOST_CLASSES or not all(isinstance(it, str) for it in classes):
        raise CheckpointError("does not name its classes in its metadata")
    return ImageSet(
        name=printable(name),
        images=images,
        labels=tensors["labels"],
        classes=tuple(printable(it[:LONGEST_NAME]) for it in classes),
        mean=_channels(values, "mean", least=-math.inf),
        std=_channels(values, "std", least=0.0),
        flip=_parsed(values, "flip") is not False,
    )


def _channels(values: Mapping[str, Any], name: str, *, least: float) -> tuple[float, float, float]:
    found = _parsed(values, name)
    if isinstance(found, list) and len(found) == 3 and all(type(it) in (int, float) for it in found):
        first, second, third = found
        if all(least < it < math.inf for it in found):
            return float(first), float(second), float(third)
    raise CheckpointError(f"does not state the {name} of three channels in its metadata")


def _parsed(values: Mapping[str, Any], name: str) -> Any:
    text = values.get(name)
    try:
        return parse_json(text) if isinstance(text, str) else None
    except FormatError:
        return None
