"""Feature maps and normalisations to run an operation with."""

import torch
from torch import Tensor, nn

from ghn.deepnets.operations.layers import BatchNorm2d

SIZES = [(8, 8), (7, 9), (1, 1)]


def batch_norm(channels: int) -> nn.Module:
    return BatchNorm2d(channels, track_running_stats=False)


def no_norm(channels: int) -> None:
    return None


def images(height: int, width: int, channels: int = 8) -> Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))
