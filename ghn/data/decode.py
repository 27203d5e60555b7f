"""One image file, decoded: only by the decoders of image formats, and only what its size on disk accounts for."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ghn.common.optional import require
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import read_bytes
from ghn.data.errors import DataError
from ghn.data.screen import check_scans, screened
from ghn.data.shards.member import Member

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")
"""What is decoded, whatever a file is called: Pillow would start Ghostscript for PostScript."""

MOST_BYTES = 256 << 20
"""Of a file."""

FREE = 56 << 20
"""Bytes of memory that any image may take."""

EXPANSION = 5
"""Beyond `FREE`, bytes of memory that each byte of the file may take."""

_COSTS = {"RGB": 4, "L": 5, "P": 5, "1": 5}
"""Bytes of a decoded pixel and of what is made of it; 12 where a mode is not named."""

_WEBP = 16
"""Of a WebP, which is decoded on two canvases with transparency."""


def read_image(file: Path | Member) -> Image:
    """A decoded RGB image; 16-bit levels are scaled to 8 bits.

    A JPEG that would take more memory than `FREE` and `EXPANSION` times its size is decoded at half, a quarter or an
    eighth of its width.

    Args:
        file: A file of one of `FORMATS`, whatever its name says; or one in a shard.

    Raises:
        DataError: When the file is no image, or a damaged one, or of far more pixels than its size accounts for.
    """
    require("PIL", "vision", "an image file")
    try:
        # In memory, where it stays as it is whoever writes to it meanwhile.
        if isinstance(file, Member):
            if file.size > MOST_BYTES:
                raise FormatError(f"has {file.size:,} bytes; a sound one has at most {MOST_BYTES:,}")
            return _decoded(file.read())
        return _decoded(read_bytes(file, MOST_BYTES))
    # What Pillow raises depends on the format and the kind of damage.
    except Exception as error:
        raise DataError(
            f"{file} cannot be read as an image ({_reason(error)}); remove it, or fetch it again"
        ) from error


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)}"
    return str(error) or type(error).__name__


def _decoded(content: bytes) -> Image:
    from PIL import Image

    size = len(content)
    content = screened(content)
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if content.startswith(b"\xff\xd8"):
            check_scans(content, image.size[0] * image.size[1])
        _check_memory(image, FREE + EXPANSION * size, size)
        if image.mode == "RGB":
            image.load()
            return image
        return _eight_bits(image).convert("RGB")


def _check_memory(image: Image, allowed: int, size: int) -> None:
    columns, rows = image.size
    # All coefficients of a progressive JPEG are held until the last one is read.
    coefficients = 6 * columns * rows if image.info.get("progressive") else 0
    for part in (1, 2, 4, 8):
        if part > 1:
            image.draft(None, (columns // part, rows // part))  # a JPEG then decodes a part of its pixels
        needed = coefficients + image.size[0] * image.size[1] * (
            _WEBP if image.format == "WEBP" else _COSTS.get(image.mode, 12)
        )
        if needed <= allowed:
            return
    raise DataError(f"{columns:,}×{rows:,} pixels take {needed >> 20:,} MB, too much for a file of {size:,} bytes")


def _eight_bits(image: Image) -> Image:
    """The image itself, or one of 16-bit grey levels scaled: Pillow's conversion would clip them at 255."""
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    from PIL.Image import fromarray

    levels = np.asarray(image)
    scaled = np.empty(levels.shape, dtype=np.uint8)
    for row, source in zip(scaled, levels, strict=True):
        row[:] = np.clip(np.rint(source.astype(np.float64) / 257), 0, 255)
    return fromarray(scaled)
