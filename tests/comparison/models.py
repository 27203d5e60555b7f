"""Models to compare starts of."""

from __future__ import annotations

import torch
from torch import nn

from ghn.comparison import CompareConfig
from ghn.data import load
from ghn.data.image_set import ImageSet
from ghn.finetuning import FinetuneConfig


def build(config: CompareConfig, classes: int) -> nn.Module:
    """A small network with batch norm."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, classes),
    )  # fmt: skip


def images() -> tuple[ImageSet, ImageSet]:
    """Few digits."""
    train, test = load("digits", split="train"), load("digits", split="test")
    return train.subset(torch.arange(160)), test.subset(torch.arange(60))


TRAINING = FinetuneConfig(
    data="digits", steps=8, batch_size=16, learning_rates=(0.05, 0.2), hold_out=40, validate_every=4, log_every=2,
    save_every=2,
)  # fmt: skip

CONFIG = CompareConfig(model="small", inits=("default", "orthogonal+statistics"), seeds=2, training=TRAINING)
