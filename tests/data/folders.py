"""Folders of small images."""

from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")


def write_folder(root: Path, classes: int = 10, suffix: str = "png", size: int = 32, count: int = 2) -> np.ndarray:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (classes, count, size, size, 3), dtype=np.uint8)
    for split in ("train", "test"):
        for index in range(classes):
            (root / split / f"class{index}").mkdir(parents=True)
            for number in range(count):
                Image.fromarray(pixels[index, number]).save(root / split / f"class{index}" / f"{number:04}.{suffix}")
    return pixels
