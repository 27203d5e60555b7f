"""Networks small enough to compute everything of them directly."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES, SIDE = 4, 6


class Small(nn.Module):
    """Convolution, batch norm, ReLU in place, convolution with groups, dropout, linear layer."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, stride=2, groups=2)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.relu(self.norm(self.first(images)))
        hidden = self.relu(self.second(hidden))
        return self.head(self.drop(hidden.mean((2, 3))))


class Attention(nn.Module):
    """Patches, attention over positions first, a linear layer."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 3, stride=3)
        self.attention = nn.MultiheadAttention(8, 2)
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens_TBC = self.patch(images).flatten(2).permute(2, 0, 1)
        attended, _ = self.attention(tokens_TBC, tokens_TBC, tokens_TBC, need_weights=False)
        return self.head((tokens_TBC + functional.gelu(attended)).mean(0))


def small(num_classes: int = 10) -> nn.Module:
    """For the zoo: `tests.analysis.networks:small`."""
    return Small(num_classes)


def attention(num_classes: int = 10) -> nn.Module:
    """Likewise."""
    return Attention(num_classes)


def wider(num_classes: int = 10) -> nn.Module:
    """A second convolutional network."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, num_classes),
    )  # fmt: skip


SMALL, ATTENTION, WIDER = (f"tests.analysis.networks:{name}" for name in ("small", "attention", "wider"))


def some_images(count: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images and labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, SIDE, SIDE, generator=generator)
    return images, torch.arange(count) % CLASSES


def made(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network with numbers of its own, biases and norms included."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return model


class Broken(nn.Module):
    """A model without parameters, which cannot be traced."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()

    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("it cannot be run")


BROKEN = "tests.analysis.networks:Broken"
