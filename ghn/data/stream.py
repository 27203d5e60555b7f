"""Endless batches of which number i is a function of (seed, i): any position can be resumed, on any rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ghn.data.augment import Augmentation, normalise, resized
from ghn.data.errors import DataError
from ghn.data.image_set import ImageSet


class ImageStream:
    """Shuffled epochs of an `ImageSet` cut into batches; an epoch's incomplete last batch is dropped.

    Args:
        image_set: The images, on the device where they are to be augmented.
        batch_size: Images in a batch.
        seed: Governs order and augmentation.
        augmentation: None for none (evaluation).
        image_size: Side in pixels that the images get at last; None for the set's own.
        part: Places in each batch of the images that are given, e.g. one process's share; what is drawn is that of the
            whole batch. None for all.
    """

    def __init__(
        self,
        image_set: ImageSet,
        *,
        batch_size: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        image_size: int | None = None,
        part: Sequence[int] | None = None,
    ) -> None:
        if not 1 <= batch_size <= len(image_set):
            raise DataError(
                f"batches of {batch_size} cannot be cut from the {len(image_set)} images of {image_set.name}; "
                f"take a batch size of 1..{len(image_set)}"
            )
        if augmentation is not None and not image_set.flip:
            augmentation = augmentation.without_flips()
        self.image_set, self.batch_size, self.seed, self.augmentation = image_set, batch_size, seed, augmentation
        self.image_size = None if image_size == image_set.image_size else image_size
        self.part = None if part is None else torch.tensor(part, dtype=torch.int64)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    @property
    def batches_per_epoch(self) -> int:
        """Complete batches in one pass over the images."""
        return len(self.image_set) // self.batch_size

    @property
    def images_per_epoch(self) -> int:
        """All images, those of an incomplete last batch (`rest`) included."""
        return len(self.image_set)

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Batch number `index` (from 0 on, over all epochs).

        Returns:
            Normalised images (batch_size, 3, H, W) float32 and labels (batch_size,) int64; with `part` so many.
        """
        epoch, position = divmod(index, self.batches_per_epoch)
        return self._make(epoch, slice(position * self.batch_size, (position + 1) * self.batch_size), index)

    def rest(self) -> tuple[Tensor, Tensor]:
        """The images that the first epoch's complete batches leave over, fewer than `batch_size`, as `batch` gives."""
        return self._make(0, slice(self.batches_per_epoch * self.batch_size, None), self.batches_per_epoch)

    def _make(self, epoch: int, positions: slice, index: int) -> tuple[Tensor, Tensor]:
        """The images at some positions of an epoch's order, augmented as those of batch `index`."""
        if epoch != self._epoch:
            self._order = torch.randperm(len(self.image_set), generator=_generator(self.seed, epoch, 0))
            self._epoch = epoch
        chosen = self._order[positions]
        count = len(chosen)
        if self.part is not None:
            chosen = chosen[self.part]
        chosen = chosen.to(self.image_set.images.device)
        images = self.image_set.images[chosen]
        if self.augmentation is not None:
            drawn = self.augmentation.draw(count, _generator(self.seed, index, 1))
            images = self.augmentation.apply(images, drawn if self.part is None else drawn[self.part])
        images = normalise(images, self.image_set)
        if self.image_size is not None:
            images = resized(images, self.image_size)
        return images, self.image_set.labels[chosen]

    def epoch(self, number: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """All complete batches of one epoch."""
        start = number * self.batches_per_epoch
        return (self.batch(start + position) for position in range(self.batches_per_epoch))


def _generator(seed: int, index: int, purpose: int) -> torch.Generator:
    """A generator of its own for each (seed, index, purpose)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + index * 2 + purpose) & 0x7FFF_FFFF_FFFF_FFFF
    return torch.Generator().manual_seed(mixed)
