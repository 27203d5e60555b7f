"""Layers of DeepNets-1M networks: those of PyTorch, without initial values while they have no storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

Norm = Callable[[int], nn.Module | None]
"""Makes a normalisation layer for a number of channels, or None where the network has none."""


class Conv2d(nn.Conv2d):
    """A convolution without bias that spends no time on initial values while it has no storage."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int | tuple[int, int], **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel, bias=False, **options)

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Linear(nn.Linear):
    """A linear layer that spends no time on initial values while it has no storage."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that spends no time on initial values while it has no storage."""

    def reset_parameters(self) -> None:
        if self.affine and not self.weight.is_meta:
            super().reset_parameters()


class LayerNorm(nn.LayerNorm):
    """Layer normalisation that spends no time on initial values while it has no storage."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()
