"""Drawn streets in Penn-Fudan's layout, for who has no copy of its photographs.

    python -m benchmarks.drawn_people FOLDER --count 60

Figures of a head, a body and legs, in any colours, one to four an image and sometimes behind one another, stand before
walls, poles and boxes of other shapes. What is found on them says how detectors learn from a start; it is not
Penn-Fudan's accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 320, 240


def main() -> None:
    """Draw a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where PennFudanPed/ is made")
    parser.add_argument("--count", type=int, default=60)
    arguments = parser.parse_args()
    draw(arguments.folder, arguments.count)


def draw(root: Path, count: int, seed: int = 0) -> None:
    """Make `PennFudanPed/PNGImages` and `PennFudanPed/PedMasks` of so many images of 320 × 240 pixels."""
    folder = root / "PennFudanPed"
    for name in ("PNGImages", "PedMasks"):
        (folder / name).mkdir(parents=True)
    chance = np.random.default_rng(seed)
    for number in range(1, count + 1):
        image, mask = _street(chance)
        image.save(folder / "PNGImages" / f"FudanPed{number:05d}.png")
        mask.save(folder / "PedMasks" / f"FudanPed{number:05d}_mask.png")


def _street(chance: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """An image and its mask, in which the k-th figure has the value k."""
    image = Image.fromarray(_ground(chance)).filter(ImageFilter.GaussianBlur(2))
    mask = Image.new("L", (WIDTH, HEIGHT))
    for _ in range(int(chance.integers(4, 9))):
        _thing(ImageDraw.Draw(image), chance)
    figures = int(chance.integers(1, 5))
    for value in range(1, figures + 1):
        # Side by side with some overlap, so that those behind stay in sight.
        place = int(WIDTH * (value - 0.5) / figures + chance.integers(-12, 13))
        _figure(ImageDraw.Draw(image), ImageDraw.Draw(mask), value, place, chance)
    return image.filter(ImageFilter.GaussianBlur(0.7)), mask


def _ground(chance: np.random.Generator) -> NDArray[np.uint8]:
    """Sky, street and grain."""
    above, below = chance.integers(60, 220, (2, 3))
    horizon = int(chance.integers(HEIGHT // 3, 2 * HEIGHT // 3))
    pixels = np.empty((HEIGHT, WIDTH, 3))
    pixels[:horizon], pixels[horizon:] = above, below
    return np.clip(pixels + chance.normal(0, 40, pixels.shape), 0, 255).astype(np.uint8)


def _thing(canvas: ImageDraw.ImageDraw, chance: np.random.Generator) -> None:
    """What is no figure: a box, a pole or a disc."""
    x, y = int(chance.integers(0, WIDTH)), int(chance.integers(0, HEIGHT))
    shape = chance.integers(3)
    if shape == 0:
        canvas.rectangle((x, y, x + int(chance.integers(20, 90)), y + int(chance.integers(20, 70))), _colour(chance))
    elif shape == 1:
        canvas.rectangle((x, 0, x + int(chance.integers(3, 12)), HEIGHT), _colour(chance))
    else:
        radius = int(chance.integers(6, 30))
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), _colour(chance))


def _figure(
    image: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw, value: int, place: int, chance: np.random.Generator
) -> None:
    """A head, a body and two legs, in the image and in the mask."""
    tall = int(chance.integers(80, 170))
    top = int(chance.integers(10, HEIGHT - tall - 4))
    head, wide = tall * 0.08, tall * 0.13
    hip, foot = top + tall * 0.55, top + tall
    skin, coat, trousers = (_colour(chance) for _ in range(3))
    stride = tall * float(chance.uniform(0.02, 0.12))
    for canvas, colours in ((image, (skin, coat, trousers)), (mask, (value,) * 3)):
        canvas.ellipse((place - head, top, place + head, top + 2.3 * head), colours[0])
        canvas.rounded_rectangle((place - wide, top + 2.2 * head, place + wide, hip), wide / 2, colours[1])
        for side in (-1, 1):
            at = place + side * stride
            leg = [(place - wide, hip), (place + wide, hip), (at + wide / 3, foot), (at - wide / 3, foot)]
            canvas.polygon(leg, colours[2])


def _colour(chance: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in chance.integers(0, 256, 3))
    return red, green, blue


if __name__ == "__main__":
    main()
