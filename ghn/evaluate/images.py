"""The images of an evaluation: those it is about, and training images that starts are calibrated by."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ghn.data import DATA_SETS, DataError, ImageFolder, ImageFolderStream, ImageSet, ImageStream, load
from ghn.data.augment import resized
from ghn.data.folder import visible
from ghn.data.load import SHARDS, data_root, load_folder, load_shards
from ghn.data.sample import BATCH_SIZE, sample_batches
from ghn.evaluate.config import EvaluationConfig

FOLDER_SIZE = 224
"""Side in pixels of what networks see of images in folders, unless told otherwise."""

Batch = tuple[Tensor, Tensor]


class EvaluationImages:
    """The images of an evaluation.

    Args:
        config: Which.
        device: Where batches are put.
        test: Test images to use instead of opening `config.data`.

    Raises:
        DataError: If they are unknown, missing or damaged.
    """

    def __init__(
        self, config: EvaluationConfig, device: torch.device, test: ImageSet | ImageFolder | None = None
    ) -> None:
        self._config, self._device = config, device
        found = _open_test(config) if test is None else test
        self.test = found.to(device) if isinstance(found, ImageSet) else found
        self.name, self.classes = found.name if test is not None else config.data, len(found.classes)
        self.size = config.image_size or found.image_size

    def stream(self, number: int) -> ImageStream | ImageFolderStream:
        """Test images of network `number`, in an order of its own."""
        batch_size = min(BATCH_SIZE, len(self.test))
        seed = self._config.seed * 1_000_003 + number
        if isinstance(self.test, ImageFolder):
            workers = self._config.image_workers
            return ImageFolderStream(self.test, batch_size=batch_size, seed=seed, workers=workers, device=self._device)
        return ImageStream(self.test, batch_size=batch_size, seed=seed, image_size=self.size)

    @property
    def shape(self) -> list[Batch]:
        """A batch without content, for what only asks for the size of images."""
        images = torch.zeros(2, 3, self.size, self.size, device=self._device)
        return [(images, torch.zeros(2, dtype=torch.int64, device=self._device))]

    @cached_property
    def training(self) -> list[Batch]:
        """Training images with labels, the same for every network; read when they are first asked for."""
        config = self._config
        if self.name not in (config.data, "folder"):
            raise DataError(
                f"test images of {self.name} are given, and data is {config.data!r}, which has other training images: "
                "name the same data set, or leave out starts that need images"
            )
        named = config.data in DATA_SETS or config.data.startswith(SHARDS)
        source = config.data if named else str(self._training_folder())
        batches = sample_batches(
            source,
            config.calibration_images,
            root=None if config.data_root is None else Path(config.data_root),
            image_size=self.size,
            seed=config.seed,
        )
        return [(resized(images, self.size).to(self._device), labels.to(self._device)) for images, labels in batches]

    def _training_folder(self) -> Path:
        folder = folder_of(self._config)
        parted = any((folder / split).is_dir() for split in ("val", "test"))
        if parted and not (folder / "train").is_dir():
            raise DataError(
                f"{folder} has no train/<class>/*.jpg to calibrate by; put training images there, or leave out starts "
                "that need some"
            )
        if not parted:
            return folder
        there = tuple(sorted(entry.name for entry in visible(folder / "train") if entry.is_dir()))
        if isinstance(self.test, ImageFolder) and there != self.test.classes:
            raise DataError(f"{folder} has other classes to train on than to test on; name their folders alike")
        return folder


def folder_of(config: EvaluationConfig) -> Path:
    """The folder that holds the images of a data set that is not read into memory.

    Raises:
        DataError: If there is no such data set.
    """
    if config.data == "imagenet":
        return data_root(config.data_root) / ("imagenet" if config.data_root is None else "")
    if config.data == "folder":
        if config.data_root is None:
            raise DataError("data is 'folder', but data_root names none; set it to the folder of test/<class>/*.jpg")
        return data_root(config.data_root)
    folder = Path(config.data).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"unknown data set {config.data!r}, and no folder; there are {', '.join(DATA_SETS)}, imagenet, and folders "
            "of images"
        )
    return folder


def _open_test(config: EvaluationConfig) -> ImageSet | ImageFolder:
    if config.data in DATA_SETS:
        return load(config.data, root=config.data_root, split="test")
    if config.data.startswith(SHARDS):
        test = load_shards(config.data, config.image_size or FOLDER_SIZE)[1]
        return replace(test, name=config.data)
    folder = folder_of(config)
    name = config.data if config.data == "imagenet" else "folder"
    size = config.image_size or FOLDER_SIZE
    if config.data == "imagenet" or any((folder / split).is_dir() for split in ("val", "test")):
        return ImageFolder.open(folder, "test", name=name, image_size=size)
    # The images that a training on this folder does not see.
    return replace(load_folder(folder, size)[1], name=name)
