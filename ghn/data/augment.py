"""Augmentation of small images as tensors, on whatever device holds them.

A batch is augmented whole; what is drawn for an image does not depend on which images of the batch are asked for, so
that processes that share a batch agree.

Legend: B images, C channels, H rows, W columns, D numbers drawn for an image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

from ghn.data.errors import DataError
from ghn.data.image_set import ImageSet

Policy = Literal["crop", "randaugment", "trivialaugment", "none"]
"""Augmentations by name: `crop` is the usual one of the kind of data, the two others follow it."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random crops of the zero-padded image and random mirroring, the usual training augmentation of CIFAR.

    Attributes:
        pad: Pixels of black padding on every side before an image-sized crop; 0 for no crop.
        flip: Mirror with probability ½ (ignored by data sets in which a mirrored image changes its class).
    """

    pad: int = 4
    flip: bool = True

    def __call__(self, images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Augment uint8 images; `generator` (a CPU one) governs every draw, so devices agree.

        Returns:
            (B, C, H, W) uint8.
        """
        return self.apply(images_BCHW, self.draw(len(images_BCHW), generator))

    def without_flips(self) -> Self:
        """The same without mirroring."""
        return replace(self, flip=False)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """What is drawn for a batch of `count` images, (count, D) int64."""
        offsets = torch.randint(0, 2 * self.pad + 1, (2, count), generator=generator)
        flipped = torch.rand(count, generator=generator) < 0.5
        return torch.stack([*offsets, flipped.long()], dim=1)

    def apply(self, images_BCHW: Tensor, drawn_BD: Tensor) -> Tensor:
        """Augment uint8 images by what was drawn for each."""
        B, C, H, W = images_BCHW.shape
        device = images_BCHW.device
        top, left, flipped = drawn_BD.to(device).T[:3, :, None]
        rows = torch.arange(H, device=device) + top
        columns = torch.arange(W, device=device).expand(B, W)
        if self.flip:
            columns = torch.where(flipped > 0, W - 1 - columns, columns)
        columns = columns + left
        padded = functional.pad(images_BCHW, (self.pad,) * 4)
        batch = torch.arange(B, device=device)[:, None, None, None]
        channel = torch.arange(C, device=device)[None, :, None, None]
        return padded[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


@dataclass(frozen=True, kw_only=True)
class PolicyAugmentation(Augmentation):
    """A policy of torchvision after crops and mirroring, other operations for each image.

    Sources: Cubuk et al., RandAugment, NeurIPS 2020; Müller & Hutter, TrivialAugment, ICCV 2021.

    Attributes:
        policy: Which one.
    """

    policy: Literal["randaugment", "trivialaugment"]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """As `Augmentation.draw`, with a seed for each image."""
        seeds = torch.randint(2**62, (count, 1), generator=generator)
        return torch.cat([super().draw(count, generator), seeds], dim=1)

    def apply(self, images_BCHW: Tensor, drawn_BD: Tensor) -> Tensor:
        """As `Augmentation.apply`; the process's random state stays."""
        cropped = super().apply(images_BCHW, drawn_BD)
        transform = policy_transform(self.policy)
        made = []
        with torch.random.fork_rng(devices=[]):
            for image, seed in zip(cropped, drawn_BD[:, -1].tolist(), strict=True):
                torch.manual_seed(seed)
                made.append(transform(image))
        return torch.stack(made)


def augmentation_named(policy: Policy) -> Augmentation | None:
    """The augmentation of small images of that name; None for `none`.

    Raises:
        DataError: Where it needs torchvision, and that is not installed.
    """
    if policy == "none":
        return None
    if policy == "crop":
        return Augmentation()
    policy_transform(policy)
    return PolicyAugmentation(policy=policy)


def policy_transform(policy: Policy) -> Callable[[Any], Any]:
    """What torchvision does to one uint8 image by that policy, drawing from the process's generator.

    Raises:
        DataError: Where torchvision is not installed.
    """
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise DataError(f"{policy} needs torchvision; install it: pip install 'ghn[vision]'") from error
    transform: Callable[[Any], Any] = {"randaugment": v2.RandAugment, "trivialaugment": v2.TrivialAugmentWide}[policy]()
    return transform


def normalise(images_BCHW: Tensor, image_set: ImageSet) -> Tensor:
    """uint8 images as float32 of zero mean and unit variance per channel (statistics of the training set)."""
    shape = (1, 3, 1, 1)
    device = images_BCHW.device
    scale = torch.tensor(image_set.std, device=device).reshape(shape) * 255
    shift = torch.tensor(image_set.mean, device=device).reshape(shape) * 255
    return (images_BCHW.float() - shift) / scale


def resized(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Images (B, 3, H, W) at a side, or a height and width, in pixels; those that have it are returned as they are."""
    height, width = (size, size) if isinstance(size, int) else size
    if images.shape[-2:] == (height, width):
        return images
    return functional.interpolate(images, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
