"""Small networks of several families, and trained-looking numbers for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def filled(model: nn.Module, seed: int = 1) -> nn.Module:
    """The model with numbers that are all different, positive where variances are."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in {**dict(model.named_parameters()), **dict(model.named_buffers())}.values():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=generator)
                value.copy_(drawn.abs() + 0.5 if value.dim() < 2 else 0.2 * drawn)
            elif value.numel() == 1:
                value.fill_(seed + 5)
    return model


def state(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers by name."""
    return {
        name: value.detach().clone()
        for name, value in {**dict(model.named_parameters()), **dict(model.named_buffers())}.items()
    }


def plain(width: int, blocks: int = 2, classes: int = 5, *, norm: bool = True, kernel: int = 3) -> nn.Sequential:
    """Convolutions in a row, in two stages; the biases of those before norms are left out."""
    layers: list[nn.Module] = []
    channels = 3
    for stage in (1, 2):
        for _ in range(blocks):
            layers.append(nn.Conv2d(channels, stage * width, kernel, padding=kernel // 2, bias=not norm))
            layers += [nn.BatchNorm2d(stage * width)] if norm else []
            layers.append(nn.ReLU())
            channels = stage * width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Block(nn.Module):
    """Attention and a perceptron, each after a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        x = x + self.gamma * self.proj(nn.functional.scaled_dot_product_attention(q, k, v))
        return x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))


class Transformer(nn.Module):
    """A vision transformer of one head."""

    def __init__(self, width: int, depth: int, classes: int = 5, side: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, (side // 4) ** 2 + 1, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


IMAGES = torch.zeros(2, 3, 16, 16)


class Separate(nn.Module):
    """`Block` without its scale, whose queries, keys and values are three layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.proj = nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + 0.5 * self.proj(nn.functional.scaled_dot_product_attention(self.q(y), self.k(y), self.v(y)))
        return x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))


def separate(width: int, depth: int) -> nn.Module:
    """A transformer of such blocks."""
    model = Transformer(width, 0)
    model.blocks = nn.ModuleList(Separate(width) for _ in range(depth))
    return model
