"""CIFAR-10 and CIFAR-100, in torchvision's format or as a folder of images.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from ghn.common.text import printable
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.plain import PlainTensor, tensor_names
from ghn.common.untrusted.source import ByteReader, open_bytes
from ghn.common.untrusted.unpickler import LONGEST_NAME, Budget, ClosedUnpickler
from ghn.data.errors import DataError
from ghn.data.folder import read_folder, visible
from ghn.data.image_set import ImageSet

PIXELS = 3 * 32 * 32

MOST_CLASSES = 1000
"""Far above the hundred of CIFAR-100."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the pickled batches of a CIFAR data set lie and how they name things."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    label_key: str
    names_key: str
    archive: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_LAYOUTS = MappingProxyType(
    {
        "cifar10": _Layout(
            folder="cifar-10-batches-py",
            train=tuple(f"data_batch_{number}" for number in range(1, 6)),
            test=("test_batch",),
            meta="batches.meta",
            label_key="labels",
            names_key="label_names",
            archive="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
        ),
        "cifar100": _Layout(
            folder="cifar-100-python",
            train=("train",),
            test=("test",),
            meta="meta",
            label_key="fine_labels",
            names_key="fine_label_names",
            archive="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            mean=(0.5071, 0.4865, 0.4409),
            std=(0.2673, 0.2564, 0.2762),
        ),
    }
)


def load_cifar(name: Literal["cifar10", "cifar100"], root: Path, split: Literal["train", "test"]) -> ImageSet:
    """CIFAR from `root`, or from its subfolder `name`.

    Accepted there: the folder of pickled batches that torchvision uses, or images as `<split>/<class>/*.jpg` (or png).

    Raises:
        DataError: When neither is there, or a file is damaged.
    """
    layout = _LAYOUTS[name]
    for base in (root, root / name):
        batches = base if base.name == layout.folder else base / layout.folder
        if batches.is_dir():
            return _read_batches(name, layout, batches, split)
        if _holds_classes(base / split, 10 if name == "cifar10" else 100):
            return read_folder(base, split, name=name, image_size=32, mean=layout.mean, std=layout.std)
    raise DataError(
        f"no {name} in {root}: fetch {layout.archive} and extract it there (it makes {layout.folder}/), "
        f"or put images there as {name}/{split}/<class>/*.jpg"
    )


def _holds_classes(folder: Path, count: int) -> bool:
    """Whether a folder holds one subfolder for each class, so that another data set beside it is not mistaken."""
    return folder.is_dir() and sum(entry.is_dir() for entry in visible(folder)) == count


def _read_batches(name: str, layout: _Layout, folder: Path, split: str) -> ImageSet:
    images: list[Tensor] = []
    labels: list[int] = []
    for file in layout.train if split == "train" else layout.test:
        batch = _unpickle(folder / file, layout)
        pixels, targets = batch.get("data"), batch.get(layout.label_key)
        if not isinstance(pixels, PlainTensor) or pixels.dtype != torch.uint8 or pixels.shape[1:] != (PIXELS,):
            raise _damaged(folder / file, layout, "it holds no images of 3,072 bytes")
        if not isinstance(targets, list) or not targets or len(targets) != pixels.shape[0]:
            raise _damaged(folder / file, layout, "it does not hold a label for each image")
        if not all(type(target) is int and 0 <= target < MOST_CLASSES for target in targets):
            raise _damaged(folder / file, layout, "its labels are no small numbers")
        images.append(pixels.tensor().reshape(-1, 3, 32, 32))
        labels.extend(targets)
    return ImageSet(
        name=name,
        images=torch.cat(images),
        labels=torch.tensor(labels, dtype=torch.int64),
        classes=_class_names(folder / layout.meta, layout),
        mean=layout.mean,
        std=layout.std,
    )


def _class_names(file: Path, layout: _Layout) -> tuple[str, ...]:
    names = _unpickle(file, layout).get(layout.names_key)
    if not isinstance(names, list) or len(names) > MOST_CLASSES:
        raise _damaged(file, layout, "it holds no names of classes")
    try:
        texts = [str(name, "utf-8") if isinstance(name, memoryview) else name for name in names]
    except UnicodeDecodeError:
        raise _damaged(file, layout, "its names of classes are no text") from None
    if not all(isinstance(text, str) and len(text) <= LONGEST_NAME for text in texts):
        raise _damaged(file, layout, "its names of classes are no text")
    return tuple(printable(text) for text in texts)


def _damaged(file: Path, layout: _Layout, fault: str) -> DataError:
    return DataError(f"{file} is damaged or no CIFAR file: fetch {layout.archive} again and extract it there ({fault})")


def _unpickle(file: Path, layout: _Layout) -> dict[str, Any]:
    """The dictionary in a file, by the closed reader of pickles: arrays are `PlainTensor`, bytes are `memoryview`."""
    if not file.exists():
        raise DataError(f"{file} is missing: fetch {layout.archive} and extract it there")
    try:
        data = open_bytes(file)
        budget = Budget(copied=len(data))
        reader = ByteReader(data)
        content = ClosedUnpickler(reader, budget, tensor_names(budget)).load()
    except FormatError as error:
        raise _damaged(file, layout, str(error)) from None
    if not isinstance(content, dict):
        raise _damaged(file, layout, "it holds no dictionary")
    return content
