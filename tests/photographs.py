"""A folder of images as a user has one, drawn: shapes of some place, size and colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CLASSES = ("circles", "squares", "triangles")


def photographs(folder: Path, images: int = 24) -> None:
    """Write so many images of each class; always the same ones."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(images):
            draw_shape(name, number).save(folder / name / f"{number}.jpg")


def draw_shape(name: str, number: int) -> Any:
    """An image of 48 × 40 pixels, on which networks look through smaller squares."""
    import numpy as np
    from PIL import Image, ImageDraw

    draws = np.random.default_rng(1000 * CLASSES.index(name) + number)
    dark, light = ([int(value) for value in draws.integers(low, high, 3)] for low, high in ((0, 100), (150, 255)))
    image = Image.new("RGB", (48, 40), tuple(dark))
    x, y, size = (int(draws.integers(low, high)) for low, high in ((2, 14), (2, 10), (18, 26)))
    drawing, box = ImageDraw.Draw(image), (x, y, x + size, y + size)
    if name == "circles":
        drawing.ellipse(box, fill=tuple(light))
    elif name == "squares":
        drawing.rectangle(box, fill=tuple(light))
    else:
        drawing.polygon([(x, y + size), (x + size, y + size), (x + size / 2, y)], fill=tuple(light))
    return image
