"""A result and images for the tests of evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ghn.data import ImageSet
from ghn.evaluate import NetworkResult

RESULT = NetworkResult(
    kind="split", split="test", index=0, start="ghn", top1=0.1, top5=0.2, loss=2.0, images=8, data="digits", head="ghn",
    batch_norm_mode="batch", seed=0, parameters=1, nodes=2, cells=3, megamacs=4.0, attention=False, batch_norm=True,
    seconds=0.1, scoring_seconds=0.2, versions={"torch": "2"},
)  # fmt: skip


def toy(count: int = 16, size: int = 32, classes: int = 10) -> ImageSet:
    """Noise with a colour for each class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    noise = torch.randint(0, 100, (count, 3, size, size), generator=generator)
    return ImageSet(
        name="toy",
        images=(noise + 15 * labels[:, None, None, None]).to(torch.uint8),
        labels=labels,
        classes=tuple(map(str, range(classes))),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )


def write_classes(folder: Path, *classes: str, count: int = 4, size: int = 40) -> None:
    """Images as `folder/<class>/*.png`."""
    pil = pytest.importorskip("PIL.Image")
    generator = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
            pil.fromarray(pixels).save(folder / name / f"{number}.png")
