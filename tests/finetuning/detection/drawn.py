"""A small Penn-Fudan: dark rectangles on bright noise, in the layout of the archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def draw(root: Path, count: int, size: tuple[int, int] = (64, 80)) -> list[list[tuple[int, int, int, int]]]:
    """Make it.

    Returns:
        The boxes of each image.
    """
    from PIL import Image

    chance = np.random.default_rng(0)
    folder = root / "PennFudanPed"
    (folder / "PNGImages").mkdir(parents=True)
    (folder / "PedMasks").mkdir()
    found = []
    for number in range(count):
        pixels = chance.integers(180, 255, (*size, 3), dtype=np.uint8)
        mask = np.zeros(size, dtype=np.uint8)
        boxes = []
        for object_ in range(1, 1 + number % 2 + 1):
            x, y = int(chance.integers(0, 20)) + 40 * (object_ - 1), int(chance.integers(0, 30))
            width, height = int(chance.integers(12, 20)), int(chance.integers(20, 34))
            pixels[y : y + height, x : x + width] = 20
            mask[y : y + height, x : x + width] = object_
            boxes.append((x, y, min(x + width, size[1]), min(y + height, size[0])))
        Image.fromarray(pixels).save(folder / "PNGImages" / f"FudanPed{number:05d}.png")
        Image.fromarray(mask).save(folder / "PedMasks" / f"FudanPed{number:05d}_mask.png")
        found.append(boxes)
    return found
