"""Data sets by name, from what lies on disk; nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ghn.data.cifar import load_cifar
from ghn.data.digits import load_digits
from ghn.data.errors import DataError
from ghn.data.image_folder import ImageFolder
from ghn.data.image_set import ImageSet

Split = Literal["train", "test"]


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Where data sets are looked for: `root`, else the environment variable GHN_DATA, else ~/.cache/ghn/data."""
    chosen = root or os.environ.get("GHN_DATA") or Path.home() / ".cache" / "ghn" / "data"
    return Path(chosen).expanduser()


DATA_SETS: MappingProxyType[str, Callable[[Path, Split], ImageSet]] = MappingProxyType(
    {
        "cifar10": lambda root, split: load_cifar("cifar10", root, split),
        "cifar100": lambda root, split: load_cifar("cifar100", root, split),
        "digits": lambda root, split: load_digits(split),
    }
)
"""Data sets of small images, by name."""


TEST_SHARE = 5
"""One in so many images of a folder without test images becomes one."""


def load_folder(folder: Path, image_size: int) -> tuple[ImageFolder, ImageFolder]:
    """Training and test images of a folder that holds `<class>/*.jpg`, or `train/` and `test/` (or `val/`) of these.

    Where there are no test images a fifth of the images, of each class alike, are these, always the same.

    Args:
        folder: That one.
        image_size: Side in pixels that the images get.

    Raises:
        DataError: When images are missing, or too few.
    """
    if not (folder / "train").is_dir():
        images = ImageFolder.open(folder, name=folder.name, image_size=image_size)
        return images.hold_out(len(images) // TEST_SHARE)
    train = ImageFolder.open(folder, "train", name=folder.name, image_size=image_size)
    if (folder / "test").is_dir() or (folder / "val").is_dir():
        return train, ImageFolder.open(folder, "test", name=folder.name, image_size=image_size)
    return train.hold_out(len(train) // TEST_SHARE)


def training_images(folder: Path, image_size: int) -> ImageFolder:
    """The images of a folder that a training sees (see `load_folder`); all where these are too few to hold some out.

    Args:
        folder: As for `load_folder`.
        image_size: Likewise.

    Raises:
        DataError: When images are missing or damaged.
    """
    try:
        return load_folder(folder, image_size)[0]
    except DataError:
        if (folder / "train").is_dir():
            raise
        return ImageFolder.open(folder, name=folder.name, image_size=image_size)


SHARDS = "webdataset:"
"""Before the place of shards, where a data set is named."""


def load_shards(source: str, image_size: int) -> tuple[ImageFolder, ImageFolder]:
    """Training and test images of `webdataset:PLACE`.

    Args:
        source: The place is a folder that holds `train/*.tar` and `test/*.tar` (or `val/`), or `*.tar`; a tar file; or
            several, `train-{000..146}.tar`. Where there are no test images a fifth of the images becomes these.
        image_size: Side in pixels that the images get.

    Raises:
        DataError: When images are missing or damaged.
    """
    place = source.removeprefix(SHARDS)
    folder = Path(place).expanduser()
    if "://" not in place and (folder / "train").is_dir():
        train = ImageFolder.open_shards(str(folder / "train"), image_size=image_size)
        for split in ("test", "val"):
            if (folder / split).is_dir():
                names = train.classes
                return train, ImageFolder.open_shards(str(folder / split), classes=names, image_size=image_size)
    else:
        train = ImageFolder.open_shards(place, image_size=image_size)
    return train.hold_out(len(train) // TEST_SHARE)


def load(name: str, *, root: str | os.PathLike[str] | None = None, split: Split = "train") -> ImageSet:
    """A data set of small images, read into memory.

    Args:
        name: One of `DATA_SETS`: cifar10, cifar100, or digits (shipped with scikit-learn, needs no download).
        root: Folder that holds the data; see `data_root`.
        split: "train" or "test".

    Raises:
        DataError: For an unknown name or split, or when the data are missing or damaged: what to fetch, and where to.
    """
    if name not in DATA_SETS:
        raise DataError(f"unknown data set {name!r}; there are {', '.join(DATA_SETS)}")
    if split not in ("train", "test"):
        raise DataError(f"split must be train or test, not {split!r}")
    return DATA_SETS[name](data_root(root), split)
