"""Mixup and CutMix of a batch, by torchvision.

Sources: Zhang et al., mixup, ICLR 2018; Yun et al., CutMix, ICCV 2019.

Legend: B images, C classes, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ghn.common.optional import require


class Mix:
    """Mixes each image of a batch with the one before it, and their labels likewise.

    What is drawn is one number (and one box) for the whole batch, from the process's generator of the CPU.

    Args:
        mixup: α of mixup, 0 for none.
        cutmix: α of CutMix, 0 for none; with both, each call takes one of them at random.
        classes: C.
        leading: The first image is only there to be mixed with the second, and not given: processes that share a batch
            each have the last image of the process before.

    Raises:
        ValueError: Where torchvision is not installed.
    """

    def __init__(self, mixup: float, cutmix: float, classes: int, *, leading: bool = False) -> None:
        require("torchvision", "vision", "mixup")
        from torchvision.transforms import v2

        kinds: list[Any] = [v2.MixUp(alpha=mixup, num_classes=classes)] if mixup else []
        if cutmix:
            kinds.append(v2.CutMix(alpha=cutmix, num_classes=classes))
        self._kinds, self.leading = kinds, leading

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and labels (B,) int64 as mixed images and shares of classes (B, C) float32."""
        chosen = self._kinds[int(torch.randint(len(self._kinds), ()))]
        mixed, shares = chosen(images, labels)
        return (mixed[1:], shares[1:]) if self.leading else (mixed, shares)


def places(share: range, batch_size: int, *, leading: bool) -> Sequence[int]:
    """Places in a batch of the images that one process needs: its share, with the image before it where asked for."""
    return [(share.start - 1) % batch_size, *share] if leading else list(share)
