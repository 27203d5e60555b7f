"""A network that is trained in a moment."""

from __future__ import annotations

from torch import nn


def make(num_classes: int = 10) -> nn.Module:
    """With batch norm."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(16, num_classes),
    )  # fmt: skip


MODEL = "tests.experiments.tiny:make"
