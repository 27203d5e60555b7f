"""Small images held in memory as one uint8 tensor.

Legend: N images, C colour channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ghn.data import subsets
from ghn.data.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Labelled images of one size, with what is needed to normalise and augment them.

    Attributes:
        name: Name of the data set, e.g. "cifar10".
        images: (N, 3, H, W) uint8.
        labels: (N,) int64, indices into `classes`.
        classes: Names of the classes.
        mean: Mean of each channel of the training images, for values in 0..1.
        std: Standard deviation of each channel, likewise.
        flip: Whether a mirrored image keeps its class (not so for digits).
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flip: bool = True

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.uint8
        assert self.images.ndim == 4
        assert len(self.images) == len(self.labels)
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise DataError(f"{self.name}: labels outside 0..{len(self.classes) - 1}; the data set is damaged")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> int:
        """H, the side of the square images in pixels."""
        return int(self.images.shape[-1])

    def subset(self, indices: Tensor | Sequence[int]) -> ImageSet:
        """The images of the given indices, in their order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on another device, e.g. to augment there."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def hold_out(self, count: int, *, seed: int = 0) -> tuple[ImageSet, ImageSet]:
        """Split into what is trained on and what is held out for validation, the same share of every class.

        Args:
            count: Images to hold out; 0 holds out none.
            seed: Governs which.

        Returns:
            The set without the held-out images, and the held-out images; both keep the original order.

        Raises:
            DataError: When a class would be left without an image to train on.
        """
        kept, held = subsets.split_hold_out(self.labels, count, seed=seed, name=self.name)
        return self.subset(kept), self.subset(held)

    def few_shot(self, count: int, *, seed: int = 0) -> ImageSet:
        """A subset of `count` labelled images, the classes as equally often as they can be.

        Raises:
            DataError: When the set holds fewer.
        """
        return self.subset(subsets.few_shot(self.labels, count, seed=seed, name=self.name))
