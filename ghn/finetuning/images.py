"""The images of a fine-tuning: what is trained on, what the learning rate is chosen by, what is tested on."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ghn.common.modules import modules
from ghn.common.text import printable
from ghn.data import DATA_SETS, DataError, ImageFolder, ImageFolderStream, ImageSet, ImageStream, load
from ghn.data.augment import augmentation_named
from ghn.data.load import SHARDS, data_root, load_folder, load_shards
from ghn.data.sample import BATCH_SIZE, first_batches
from ghn.finetuning.config import FinetuneConfig
from ghn.training.ranks import Ranks

Labelled = ImageSet | ImageFolder
Stream = ImageStream | ImageFolderStream

FOLDER_SIZE = 224
"""Side in pixels that images of folders get by default."""

IMAGENET = "imagenet"

ONEDNN_BLOCK = 8
"""Channels that oneDNN's convolutions take at a time, or twice or four times as many."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Labelled images, before any are held out.

    Attributes:
        name: Of the data set.
        train: Training images.
        test: Test images, of the same classes.
        image_size: Side in pixels that they get.
    """

    name: str
    train: Labelled
    test: Labelled
    image_size: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.train.classes

    @cached_property
    def digest(self) -> str:
        """Of all pixels and labels of images in memory, of names and labels of files: tells data sets apart."""
        digest = hashlib.sha256()
        for images in (self.train, self.test):
            digest.update(f"{images.name}\0{images.classes}\0".encode("utf-8", "surrogatepass"))
            if isinstance(images, ImageSet):
                digest.update(f"{tuple(images.images.shape)}".encode())
                digest.update(images.images.cpu().contiguous().numpy().data)
            else:
                digest.update("\0".join(map(str, images.files)).encode("utf-8", "surrogatepass"))
            digest.update(images.labels.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]


def open_data(data: str | Path | Data | tuple[Labelled, Labelled], config: FinetuneConfig) -> Data:
    """The images that a configuration names, or given ones.

    Args:
        data: As `FinetuneConfig.data`, or training and test images, or what this gave before.
        config: Says where data sets are, and the size.

    Raises:
        DataError: When they are unknown, missing, damaged or empty, or the classes of training and test images differ.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, str | Path):
        train, test = _found(str(data), config)
    else:
        if not (isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Labelled) for part in data)):
            raise DataError("data is the name of a data set, a folder, or a pair of ImageSets (training, test)")
        train, test = data
    if train.classes != test.classes:
        raise DataError(f"training and test images of {train.name} {_difference(train.classes, test.classes)}")
    if len(train.classes) < 2:
        only = f"only the class {printable(train.classes[0])}" if train.classes else "no class"
        raise DataError(f"{train.name} has {only}; a folder of images holds one folder for each class, two or more")
    if not len(train) or not len(test):
        raise DataError(f"{train.name} has {len(train)} training and {len(test)} test images; each needs some")
    size = config.image_size or train.image_size
    if isinstance(train, ImageFolder):
        train = replace(train, image_size=size)
    if isinstance(test, ImageFolder):
        test = replace(test, image_size=size)
    return Data(name=train.name, train=train, test=test, image_size=size)


def _difference(train: Sequence[str], test: Sequence[str]) -> str:
    for here, there, others in ((train, "training", test), (test, "test", train)):
        only = [name for name in here if name not in others]
        if only:
            return f"differ in their classes: {', '.join(map(printable, only[:3]))} only among {there} images"
    return "have the same classes in another order"


def _found(name: str, config: FinetuneConfig) -> tuple[Labelled, Labelled]:
    if name in DATA_SETS:
        return load(name, root=config.data_root, split="train"), load(name, root=config.data_root, split="test")
    if name == IMAGENET:
        root = data_root(config.data_root) / ("" if config.data_root else IMAGENET)
        return ImageFolder.open(root, "train", name=name), ImageFolder.open(root, "test", name=name)
    if name.startswith(SHARDS):
        return load_shards(name, FOLDER_SIZE)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        near = difflib.get_close_matches(name, [*DATA_SETS, IMAGENET], n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(DATA_SETS)}, {IMAGENET}"
        raise DataError(f"{name} is no data set, and no folder of images; {hint}")
    return load_folder(folder, FOLDER_SIZE)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Streams of batches, on the device of a process.

    Attributes:
        train: This process's part of augmented training images, endlessly.
        plain: Training images as they are, for the start.
        held_out: This process's share of the held-out images as they are; None where it has none.
        test: Likewise of the test images.
        holds_out: Whether any process has images held out.
    """

    train: Stream
    plain: Stream
    held_out: Stream | None
    test: Stream | None
    holds_out: bool

    def sample(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """Some training images as they are: images (B, 3, H, W) float32, labels (B,) int64."""
        return list(first_batches(self.plain, min(count, self.plain.images_per_epoch)))


def open_images(data: Data, config: FinetuneConfig, ranks: Ranks, part: Sequence[int] | None = None) -> Images:
    """Hold images out, and make batches for one process.

    Args:
        data: All images.
        config: How.
        ranks: The processes.
        part: Places in each training batch of the images that this process is given; None for all.

    Raises:
        DataError: When there are too few.
    """
    kept, held = _split(data.train, config)
    return Images(
        train=_stream(kept, data, config, ranks, part=part, training=True),
        plain=_stream(kept, data, config, ranks, shown=True),
        held_out=_share(held, None, data, config, ranks),
        test=_share(data.test, config.test_images, data, config, ranks),
        holds_out=len(held) > 0,
    )


def _share(images: Labelled, most: int | None, data: Data, config: FinetuneConfig, ranks: Ranks) -> Stream | None:
    """One process's share of images to evaluate on: each decodes its own only."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:most]
    mine = order[ranks.rank :: ranks.world]
    return _stream(images.subset(mine), data, config, ranks) if len(mine) else None


def _split(images: Labelled, config: FinetuneConfig) -> tuple[Labelled, Labelled]:
    kept, held = images.hold_out(config.held_out(len(images)))
    return kept if config.few_shot is None else kept.few_shot(config.few_shot, seed=config.seed), held


def _stream(
    images: Labelled,
    data: Data,
    config: FinetuneConfig,
    ranks: Ranks,
    *,
    part: Sequence[int] | None = None,
    training: bool = False,
    shown: bool = False,
) -> Stream:
    batch_size = config.batch_size if training else min(BATCH_SIZE, len(images))
    # What is tested on, and in which order, is the same for every seed.
    seed = config.seed if training or shown else 0
    if isinstance(images, ImageSet):
        return ImageStream(
            images.to(ranks.device),
            batch_size=batch_size,
            seed=seed,
            augmentation=augmentation_named(config.augment) if training else None,
            image_size=data.image_size,
            part=part,
        )
    return ImageFolderStream(
        images,
        batch_size=batch_size,
        seed=seed,
        augment=config.augment if training else "none",
        workers=config.image_workers,
        device=ranks.device,
        part=range(batch_size) if training and part is None else part,
        skip=config.skip_damaged,
    )


def memory_format_for(network: nn.Module) -> torch.memory_format:
    """How the images of a training lie in memory: channels last, which is faster, where that is safe.

    In that layout oneDNN writes past its buffer in the gradient of a strided 1×1 convolution of fewer than 8 channels,
    as RepVGG applies to images, and the process crashes (uxlfoundation/oneDNN issue 6035).
    """
    unsafe = any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels // module.groups < ONEDNN_BLOCK
        for module in modules(network)
    )
    return torch.contiguous_format if unsafe else torch.channels_last


def works(stream: Stream, first: int, last: int, memory_format: torch.memory_format) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of the steps from `first` to before `last`."""
    for step in range(first, last):
        images, labels = stream.batch(step)
        yield images.contiguous(memory_format=memory_format), labels
