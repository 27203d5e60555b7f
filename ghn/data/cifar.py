"""CIFAR-10 and CIFAR-100, in torchvision's format or as a folder of images.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ghn.data.errors import DataError
from ghn.data.folder import read_folder, visible
from ghn.data.image_set import ImageSet


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the pickled batches of a CIFAR data set lie and how they name things."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    label_key: bytes
    names_key: bytes
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
            label_key=b"labels",
            names_key=b"label_names",
            archive="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
        ),
        "cifar100": _Layout(
            folder="cifar-100-python",
            train=("train",),
            test=("test",),
            meta="meta",
            label_key=b"fine_labels",
            names_key=b"fine_label_names",
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
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for file in layout.train if split == "train" else layout.test:
        batch = _unpickle(folder / file, layout)
        pixels, targets = batch.get(b"data"), batch.get(layout.label_key)
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3072,):
            raise _damaged(folder / file, layout)
        if not isinstance(targets, list) or len(targets) != len(pixels):
            raise _damaged(folder / file, layout)
        images.append(pixels.reshape(-1, 3, 32, 32))
        labels.extend(int(target) for target in targets)
    names = _unpickle(folder / layout.meta, layout).get(layout.names_key)
    if not isinstance(names, list):
        raise _damaged(folder / layout.meta, layout)
    return ImageSet(
        name=name,
        images=torch.from_numpy(np.concatenate(images)),
        labels=torch.tensor(labels, dtype=torch.int64),
        classes=tuple(entry.decode() if isinstance(entry, bytes) else str(entry) for entry in names),
        mean=layout.mean,
        std=layout.std,
    )


def _damaged(file: Path, layout: _Layout) -> DataError:
    return DataError(f"{file} is damaged or no CIFAR file: fetch {layout.archive} again and extract it there")


class _ArrayUnpickler(pickle.Unpickler):
    """Reads plain values and numpy arrays and refuses everything else, so a file can run no code."""

    _ALLOWED = MappingProxyType(
        {
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return self._ALLOWED[module, name]


def _unpickle(file: Path, layout: _Layout) -> dict[bytes, Any]:
    if not file.is_file():
        raise DataError(f"{file} is missing: fetch {layout.archive} and extract it there")
    try:
        content = _ArrayUnpickler(io.BytesIO(file.read_bytes()), encoding="bytes").load()
    # A damaged stream can raise nearly anything from inside the unpickler.
    except Exception as error:
        raise _damaged(file, layout) from error
    if not isinstance(content, dict):
        raise _damaged(file, layout)
    return content
