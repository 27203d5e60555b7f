"""Small networks and images for fine-tunings."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ghn.data import ImageSet, load

CLASSES = ("none", "left", "right")


def a_network(classes: int = 10, *, dropout: float = 0.0) -> nn.Sequential:
    """Convolution and batch norm, so that modes and statistics matter."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.AvgPool2d(4), nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Flatten(), nn.Linear(8 * 64, classes))


def digits(train: int = 200, test: int = 100) -> tuple[ImageSet, ImageSet]:
    """The first digits of both splits."""
    return load("digits").subset(range(train)), load("digits", split="test").subset(range(test))


QUICK: dict[str, Any] = {
    "steps": 7,
    "batch_size": 16,
    "learning_rates": (0.05,),
    "hold_out": 40,
    "noise": 0.0,
    "clip": None,
    "schedule": "constant",
    "log_every": 1,
}
