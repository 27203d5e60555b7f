"""Of image files only the pixels are decoded, and these within bounds."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow  # noqa: N813

from ghn.data import DataError
from ghn.data.decode import read_image
from ghn.data.screen import PNG, check_scans, screened
from tests.fuzzing.judge import forget_peak, peak_memory


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    pillow.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """Chunks behind the header of a PNG, where texts and profiles stand."""
    end = len(PNG) + 25
    return png[:end] + b"".join(chunks) + png[end:]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1"])
def test_pixels_colours_and_transparency_stay(mode: str) -> None:
    png = encoded("PNG", mode, **({"transparency": 3} if mode == "P" else {}))
    more = with_chunks(png, chunk(b"tEXt", b"a\0b"), chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    assert screened(png) == png
    assert screened(more) == png
    for damaged in (more[:-20], more[:40], png[:-1], PNG, PNG + b"\xff" * 12):
        assert screened(damaged).startswith(PNG)


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "PPM", "WEBP"])
def test_other_formats_are_left(kind: str) -> None:
    assert screened(encoded(kind)) == encoded(kind)


def test_compressed_texts_are_not_expanded(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(1_000_000), 9)
    bombs = [chunk(b"zTXt", b"key%d\0\0" % number + packed) for number in range(60)]
    (tmp_path / "a.png").write_bytes(with_chunks(encoded("PNG"), *bombs))
    forget_peak()
    before = peak_memory()
    assert read_image(tmp_path / "a.png").size == (7, 9)
    assert peak_memory() - before < 16 << 20


def test_a_jpeg_is_not_scanned_again_and_again(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pillow.new("RGB", (1500, 1500)).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(whole)
    assert read_image(tmp_path / "a.jpg").size == (1500, 1500)
    (tmp_path / "b.jpg").write_bytes(whole[:-2] + 5000 * scan + whole[-2:])
    with pytest.raises(DataError, match=r"5,0\d\d scans of 2,250,000 pixels"):
        read_image(tmp_path / "b.jpg")
    check_scans(whole, 24_000_000)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"P3 9 9 255\n" + b"#\n" * 100_000, "more than 100 comments"),
        (b"P2\n" + b"# none\n" * 101 + b"1 1 255\n7\n", "more than 100 comments"),
        (b"P6 9 9\n#" + b"c" * 100_000 + b"\n255\n" + bytes(243), "header has more than 4,096 bytes"),
        (b"P5" + b" " * 100_000 + b"9 9 255\n" + bytes(81), "header has more than 4,096 bytes"),
    ],
)
def test_what_is_read_byte_by_byte_is_short(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "a.ppm").write_bytes(content)
    with pytest.raises(DataError, match=fault):
        read_image(tmp_path / "a.ppm")


@pytest.mark.parametrize(
    "content",
    [
        b"P6\n# made by hand\n2 1\n255\n" + b"######",
        b"P3 2 1 255 1 2 3 # red\n4 5 6\n",
        b"P4 8 1\n" + b"\n",
        b"P4 8 999\n" + b" " * 999,
        b"P1 2 1\n01\n",
        b"P5 99 99 255\n" + b"#" * 9801,
    ],
)
def test_comments_and_pixels_that_look_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ppm").write_bytes(content)
    assert read_image(tmp_path / "a.ppm").mode == "RGB"


def test_images_that_take_their_decoder_long_are_refused(tmp_path: Path) -> None:
    """Twelve bytes for each empty piece of the pixels, two for each number of a text."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(PNG + header + chunk(b"IDAT", b"") * 100_000 + chunk(b"IEND", b""))
    with pytest.raises(DataError, match="more chunks than any sound one"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.ppm").write_bytes(b"P3 700 700 255\n" + b"0 " * (3 * 700 * 700))
    with pytest.raises(DataError, match="a PPM as text of 2,940,015 bytes"):
        read_image(tmp_path / "a.ppm")


def test_sound_images_in_small_pieces_are_read(tmp_path: Path) -> None:
    pixels = zlib.compress(b"".join(b"\0" + bytes(range(12)) for _ in range(4)))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    pieces = b"".join(chunk(b"IDAT", pixels[at : at + 1]) for at in range(len(pixels)))
    (tmp_path / "a.png").write_bytes(PNG + header + pieces + chunk(b"IEND", b""))
    assert read_image(tmp_path / "a.png").getpixel((3, 0)) == (9, 10, 11)
