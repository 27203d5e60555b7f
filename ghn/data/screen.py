"""What of an image file is decoded: its pixels, and nothing that its decoder would take long or much memory for."""

from __future__ import annotations

import re
import struct

from ghn.data.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"

_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""Of a PNG: those that its pixels depend on. Texts and profiles are compressed, and expand to any size."""

MOST_SCANNED = 1 << 30
"""Pixels times scans of a JPEG: an empty scan has a dozen bytes, and goes through all pixels."""

MOST_COMMENTS = 100
"""Of a PPM written as text, where each costs a copy of what is read."""

LONGEST_TEXT = 2 << 20
"""Bytes of a PPM written as text, which the decoder reads number by number: 800 x 800 pixels in seconds."""

LONGEST_HEADER = 4096
"""Bytes of a PPM in front of its pixels, which are read one by one."""


def screened(content: bytes) -> bytes:
    """An image file without what its pixels do not depend on.

    Args:
        content: A whole file, of whatever format.

    Returns:
        What is left to decode: of a PNG the chunks of pixels, colours and transparency; of others all.

    Raises:
        DataError: If it is a PPM of long or countless comments, a long one as text, or a PNG of countless chunks.
    """
    if content.startswith(PNG):
        return _pixels_of_png(content)
    if re.match(rb"P[1-6]\s", content):
        _check_ppm(content)
    return content


def check_scans(content: bytes, pixels: int) -> None:
    """Make sure that a JPEG's pixels are not gone through again and again.

    Args:
        content: The file.
        pixels: How many it has.

    Raises:
        DataError: If they are.
    """
    # In compressed data, the byte 0xff is followed by a zero.
    scans = content.count(b"\xff\xda")
    if scans * pixels > MOST_SCANNED:
        raise DataError(f"{scans:,} scans of {pixels:,} pixels, more than any sound JPEG has")


def _pixels_of_png(content: bytes) -> bytes:
    parts, start, at = [PNG], len(PNG), len(PNG)
    # The sparest encoders write a chunk for each kilobyte.
    left = 1000 + len(content) // 256
    while at + 12 <= len(content):
        left -= 1
        if left < 0:
            raise DataError("a PNG of more chunks than any sound one of its size")
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if kind not in _CHUNKS:
            parts.append(content[start:at])
            start = end
        at = end
    # What makes no chunk is left for the decoder to find.
    return content if len(parts) == 1 else b"".join([*parts, content[start:]])


def _check_ppm(content: bytes) -> None:
    as_text = content[1:2] in b"123"
    if as_text and len(content) > LONGEST_TEXT:
        raise DataError(f"a PPM as text of {len(content):,} bytes, of which at most {LONGEST_TEXT:,} are read")
    if as_text and content.count(b"#") > MOST_COMMENTS:
        raise DataError(f"a PPM of more than {MOST_COMMENTS} comments")
    # Width, height and, but for black and white, the largest level.
    numbers = 2 if content[1:2] in b"14" else 3
    header = re.sub(rb"#[^\r\n]*", b"", content[:LONGEST_HEADER])
    if len(header.split(None, numbers + 1)) < numbers + 1 and len(content) > LONGEST_HEADER:
        raise DataError(f"a PPM whose header has more than {LONGEST_HEADER:,} bytes")
