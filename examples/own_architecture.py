"""An architecture of one's own on a folder of one's own images: a random start against a predicted one.

    python examples/own_architecture.py PHOTOS

`PHOTOS` holds a folder of images for each class. As a model of the command: `ghn compare
examples/own_architecture.py:make ...`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor, nn

from ghn.comparison import CompareConfig, Comparison, compare
from ghn.comparison.figure import draw
from ghn.finetuning import FinetuneConfig


class Block(nn.Module):
    """Two branches that see the same features, one of them over a wider window, and a way around both."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.wide = nn.Sequential(nn.Conv2d(inputs, outputs, 5, padding=2, bias=False), nn.BatchNorm2d(outputs))
        self.around = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return (self.narrow(x) + self.wide(x) + self.around(x)).relu()


class MyNet(nn.Module):
    """Images (B, 3, H, W) to scores (B, num_classes)."""

    def __init__(self, num_classes: int, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.blocks = nn.ModuleList(Block(inputs, outputs) for inputs, outputs in pairs)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = self.pool(block(x))
        return self.head(x.mean((2, 3)))


def make(num_classes: int = 10) -> nn.Module:
    return MyNet(num_classes)


def build(config: CompareConfig, num_classes: int) -> nn.Module:
    """The model for the classes that the images have."""
    return make(num_classes)


def main(images: str | Path, picture: str | Path = "curves.svg", steps: int = 100, seeds: int = 3) -> Comparison:
    """Train from both starts, several times each, and draw accuracy on images that no training sees.

    Args:
        images: Folder with a folder of images for each class.
        picture: Where the curves go: .svg, .png or .pdf.
        steps: Of each training.
        seeds: Trainings from each start.
    """
    training = FinetuneConfig(
        data=str(images),
        image_size=32,
        batch_size=16,
        steps=steps,
        learning_rates=(0.1, 0.02),
        validate_every=max(1, steps // 5),
        log_every=max(1, steps // 20),
    )
    # A random start gets a solved head and batch-norm statistics, too: else the comparison would be unfair.
    starts = ("default+calibrate", "ghn:ghn3-t-cifar10-wide+calibrate")
    found = compare(CompareConfig(model="MyNet", inits=starts, seeds=seeds, training=training), build=build)
    draw(found, picture)
    print(found)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--picture", type=Path, default=Path("curves.svg"))
    given = parser.parse_args()
    main(given.images, given.picture)
