"""The images of a meta-training run: what is trained on, and what is held out."""

from __future__ import annotations

from dataclasses import dataclass

from ghn.data import DATA_SETS, Augmentation, DataError, ImageFolder, ImageFolderStream, ImageStream, load
from ghn.data.load import data_root
from ghn.train.config import MetaTrainingConfig
from ghn.train.distributed import Ranks

VALIDATION_BATCH = 64
"""Images in a batch, and so of its statistics, in validation (as in the evaluation protocol)."""

VALIDATION_BATCHES = 4


@dataclass(frozen=True, kw_only=True)
class Images:
    """Streams of batches.

    Attributes:
        train: Augmented training images, endlessly.
        held_out: Images for validation as they are; None without validation.
    """

    train: ImageStream | ImageFolderStream
    held_out: ImageStream | ImageFolderStream | None


def open_images(config: MetaTrainingConfig, ranks: Ranks) -> Images:
    """Open the run's data set for one process of `ranks`.

    Raises:
        DataError: When it is unknown, missing or damaged.
        ValueError: When it has another number of classes than the hypernetwork, or images of another size.
    """
    device = ranks.device
    held = config.hold_out or (VALIDATION_BATCH * VALIDATION_BATCHES if config.validate_every else 0)
    if config.data in DATA_SETS:
        images = load(config.data, root=config.data_root, split="train")
        _check(config, len(images.classes), images.image_size)
        training, validation = images.hold_out(held)
        augmentation = Augmentation() if config.augment else None
        return Images(
            train=ImageStream(
                training.to(device), batch_size=config.images, seed=config.seed, augmentation=augmentation
            ),
            held_out=ImageStream(validation.to(device), batch_size=VALIDATION_BATCH) if held else None,
        )
    if config.data not in ("imagenet", "folder"):
        raise DataError(f"unknown data set {config.data!r}; there are {', '.join(DATA_SETS)}, imagenet, folder")
    root = data_root(config.data_root) / "imagenet" if config.data_root is None else data_root(config.data_root)
    files = ImageFolder.open(root, "train", name=config.data, image_size=config.image_size)
    _check(config, len(files.classes), config.image_size)
    kept, held_files = files.hold_out(held)
    every, taken = (1, range(1)) if config.shared_images else (config.meta_batch, ranks.share(config.meta_batch))
    return Images(
        train=ImageFolderStream(
            kept,
            batch_size=config.images,
            seed=config.seed,
            augment=config.augment,
            workers=config.image_workers,
            device=device,
            every=every,
            taken=taken,
        ),
        held_out=ImageFolderStream(held_files, batch_size=VALIDATION_BATCH, device=device) if held else None,
    )


def _check(config: MetaTrainingConfig, classes: int, image_size: int) -> None:
    if classes != config.hypernet.num_classes:
        raise ValueError(
            f"{config.data} has {classes} classes, the hypernetwork is for {config.hypernet.num_classes}; "
            "set num_classes"
        )
    if image_size != config.image_size:
        raise ValueError(f"{config.data} has images of {image_size} pixels, not {config.image_size}; set image_size")
