"""Augmentation of small images as tensors, a whole batch at a time, on whatever device holds them.

Legend: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ghn.data.image_set import ImageSet


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
        B, C, H, W = images_BCHW.shape
        device = images_BCHW.device
        offsets = torch.randint(0, 2 * self.pad + 1, (2, B, 1), generator=generator).to(device)
        flipped = torch.rand(B, 1, generator=generator).to(device) < 0.5
        rows = torch.arange(H, device=device) + offsets[0]
        columns = torch.arange(W, device=device).expand(B, W)
        if self.flip:
            columns = torch.where(flipped, W - 1 - columns, columns)
        columns = columns + offsets[1]
        padded = functional.pad(images_BCHW, (self.pad,) * 4)
        batch = torch.arange(B, device=device)[:, None, None, None]
        channel = torch.arange(C, device=device)[None, :, None, None]
        return padded[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


def normalise(images_BCHW: Tensor, image_set: ImageSet) -> Tensor:
    """uint8 images as float32 of zero mean and unit variance per channel (statistics of the training set)."""
    shape = (1, 3, 1, 1)
    device = images_BCHW.device
    scale = torch.tensor(image_set.std, device=device).reshape(shape) * 255
    shift = torch.tensor(image_set.mean, device=device).reshape(shape) * 255
    return (images_BCHW.float() - shift) / scale
