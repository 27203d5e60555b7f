"""The 8×8 handwritten digits that ship with scikit-learn: the small data set that needs no download."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from ghn.data.errors import DataError
from ghn.data.image_set import ImageSet

TEST_IMAGES = 500
"""The last 500 of the 1,797 digits (by other writers than most of the first) are the test images."""


def load_digits(split: Literal["train", "test"], *, image_size: int = 32) -> ImageSet:
    """Digits enlarged to `image_size` pixels, the grey value in all three channels.

    Raises:
        DataError: Where scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError("the digits data set comes with scikit-learn; install it: pip install 'ghn[train]'") from error
    digits = datasets.load_digits()
    grey = torch.from_numpy(np.asarray(digits.images, dtype=np.float32))[:, None] * (255 / 16)
    enlarged = functional.interpolate(grey, size=(image_size, image_size), mode="bilinear", align_corners=False)
    images = enlarged.round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    labels = torch.from_numpy(np.asarray(digits.target, dtype=np.int64))
    chosen = slice(None, -TEST_IMAGES) if split == "train" else slice(-TEST_IMAGES, None)
    return ImageSet(
        name="digits",
        images=images[chosen],
        labels=labels[chosen],
        classes=tuple(str(digit) for digit in range(10)),
        mean=(0.306, 0.306, 0.306),
        std=(0.323, 0.323, 0.323),
        flip=False,
    )
