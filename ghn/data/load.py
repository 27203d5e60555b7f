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
