"""The images of a meta-training run: what is trained on, and what is held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ghn.data import DATA_SETS, Augmentation, DataError, ImageFolder, ImageFolderStream, ImageSet, ImageStream, load
from ghn.data.load import SHARDS, data_root, load_shards
from ghn.meta.config import VALIDATION_BATCH, MetaTrainingConfig
from ghn.training.ranks import Ranks

Kind = TypeVar("Kind", ImageSet, ImageFolder)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Streams of batches.

    Attributes:
        train: Augmented training images, endlessly.
        held_out: Images for validation as they are; None without validation.
        adapting: Training images as they are, for the steps of an evaluation (config `adapt_steps`); None without.
    """

    train: ImageStream | ImageFolderStream
    held_out: ImageStream | ImageFolderStream | None
    adapting: ImageStream | ImageFolderStream | None = None


def training_images(config: MetaTrainingConfig) -> ImageSet | ImageFolder:
    """The training images of the run's data set, before any are held out.

    Raises:
        DataError: When the data set is unknown, missing or damaged.
    """
    if config.data in DATA_SETS:
        return load(config.data, root=config.data_root, split="train")
    if config.data.startswith(SHARDS):
        return load_shards(config.data, config.image_size)[0]
    if config.data not in ("imagenet", "folder"):
        raise DataError(f"unknown data set {config.data!r}; there are {', '.join(DATA_SETS)}, imagenet, folder")
    if config.data == "folder" and config.data_root is None:
        raise DataError(
            "data is 'folder', but data_root names none; set it to the folder that holds train/<class>/*.jpg"
        )
    root = data_root(config.data_root) / "imagenet" if config.data_root is None else data_root(config.data_root)
    return ImageFolder.open(root, "train", name=config.data, image_size=config.image_size)


def open_images(config: MetaTrainingConfig, ranks: Ranks, images: ImageSet | ImageFolder | None = None) -> Images:
    """Open the run's data set for one process of `ranks`.

    Args:
        config: The run.
        ranks: The processes of the run.
        images: Its training images, where they are open already.

    Raises:
        DataError: When it is unknown, missing or damaged, or has too few images.
        ValueError: When it has another number of classes than the hypernetwork, or images of another size.
    """
    if images is None:
        images = training_images(config)
    _check(config, images)
    if isinstance(images, ImageSet):
        return _in_memory(*_split(config, images), config, ranks)
    return _from_files(*_split(config, images), config, ranks)


def _in_memory(kept: ImageSet, held: ImageSet, config: MetaTrainingConfig, ranks: Ranks) -> Images:
    augmentation = Augmentation() if config.augment else None
    return Images(
        train=ImageStream(kept.to(ranks.device), batch_size=config.images, seed=config.seed, augmentation=augmentation),
        held_out=ImageStream(held.to(ranks.device), batch_size=VALIDATION_BATCH) if config.validate_every else None,
        adapting=ImageStream(kept.to(ranks.device), batch_size=config.images, seed=config.seed)
        if config.validate_every and config.adapt_steps
        else None,
    )


def _from_files(kept: ImageFolder, held: ImageFolder, config: MetaTrainingConfig, ranks: Ranks) -> Images:
    every, taken = (1, range(1)) if config.shared_images else (config.meta_batch, ranks.share(config.meta_batch))
    return Images(
        train=ImageFolderStream(
            kept,
            batch_size=config.images,
            seed=config.seed,
            augment=config.augment,
            workers=config.image_workers,
            device=ranks.device,
            every=every,
            taken=taken,
            skip=config.skip_damaged,
        ),
        held_out=ImageFolderStream(held, batch_size=VALIDATION_BATCH, device=ranks.device)
        if config.validate_every
        else None,
        adapting=ImageFolderStream(kept, batch_size=config.images, seed=config.seed, device=ranks.device)
        if config.validate_every and config.adapt_steps
        else None,
    )


def _split(config: MetaTrainingConfig, images: Kind) -> tuple[Kind, Kind]:
    """What is trained on, and what is held out."""
    kept, held = images.hold_out(config.held_out)
    return kept if config.few_shot is None else kept.few_shot(config.few_shot, seed=config.seed), held


def _check(config: MetaTrainingConfig, images: ImageSet | ImageFolder) -> None:
    if len(images.classes) != config.hypernet.num_classes:
        raise ValueError(
            f"{config.data} has {len(images.classes)} classes, the hypernetwork is for {config.hypernet.num_classes}; "
            f"set num_classes to {len(images.classes)}"
        )
    if images.image_size != config.image_size:
        raise ValueError(
            f"{config.data} has images of {images.image_size} pixels, not {config.image_size}; "
            f"set image_size to {images.image_size}"
        )
