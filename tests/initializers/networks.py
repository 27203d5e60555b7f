"""Small networks and images for the tests of initialisers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ghn.initializers.report import Batch


def small(classes: int = 3, *, bias: bool = True) -> nn.Module:
    """Convolutions with batch norm, and a head of 8 features."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(6, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes, bias=bias),
    )


def images(batches: int = 4, size: int = 16, classes: int = 3, shift: float = 3.0) -> list[Batch]:
    """Images whose colours tell their classes, far from mean 0 and variance 1."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(batches):
        labels = torch.randint(0, classes, (size,), generator=generator)
        colours = torch.eye(3)[labels % 3][:, :, None, None]
        found.append((shift * colours + torch.randn(size, 3, 12, 12, generator=generator) + shift, labels))
    return found


def state(model: nn.Module) -> dict[str, Tensor]:
    """Copies by name."""
    return {name: value.clone() for name, value in model.state_dict().items()}
