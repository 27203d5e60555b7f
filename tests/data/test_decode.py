"""Images are decoded as they are meant, by decoders of images only, in memory that their size on disk accounts for."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow  # noqa: N813

from ghn.data import DataError, decode
from ghn.data.decode import read_image


def blank_png(columns: int, rows: int, depth: int = 8, colour: int = 2) -> bytes:
    """A small PNG of many black pixels."""
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    line = bytes(1 + columns * channels * depth // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("depth", "colour"), [(8, 2), (8, 6), (16, 0), (8, 0)])
def test_small_files_of_many_pixels_are_refused(tmp_path: Path, depth: int, colour: int) -> None:
    (tmp_path / "a.png").write_bytes(blank_png(12_000, 7_000, depth, colour))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        DataError, match=r"a\.png cannot be read as an image \(12,000×7,000 pixels take .* MB, too much"
    ):
        read_image(tmp_path / "a.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64_000  # KiB


def test_photographs_are_decoded_whole(tmp_path: Path) -> None:
    """Twelve megapixels of noise: what cameras make."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    picture = pillow.fromarray(noise).resize((4000, 3000))
    for name in ("a.jpg", "a.png"):
        picture.save(tmp_path / name)
        assert read_image(tmp_path / name).size == (4000, 3000)


def test_a_jpeg_that_would_take_too_much_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow.new("RGB", (640, 320), (200, 100, 50)).save(tmp_path / "a.jpg")
    monkeypatch.setattr(decode, "FREE", 320 * 160 * 4)
    monkeypatch.setattr(decode, "EXPANSION", 0)
    image = read_image(tmp_path / "a.jpg")
    assert image.size == (320, 160)
    assert np.abs(np.asarray(image).astype(int) - (200, 100, 50)).max() <= 3
    pillow.new("RGB", (640, 320)).save(tmp_path / "b.jpg", progressive=True)
    with pytest.raises(DataError, match="too much for a file of"):
        read_image(tmp_path / "b.jpg")


def test_a_webp_takes_more_than_its_pixels(tmp_path: Path) -> None:
    pillow.new("RGB", (2500, 2500)).save(tmp_path / "a.webp")
    with pytest.raises(DataError, match="2,500×2,500 pixels take 95 MB"):
        read_image(tmp_path / "a.webp")
    pillow.new("RGB", (500, 500)).save(tmp_path / "b.webp")
    assert read_image(tmp_path / "b.webp").size == (500, 500)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    file = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    pillow.new("RGB", (5, 4), (255, 255, 255)).convert(mode).save(file)
    image = read_image(file)
    assert (image.mode, image.size) == ("RGB", (5, 4))
    assert np.asarray(image).min() > 250


@pytest.mark.parametrize("name", ["pipe.png", "folder.png", "device.png", "empty.png", "missing.png"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "empty.png").touch()
    with pytest.raises(DataError, match=rf"{name} cannot be read as an image"):
        read_image(tmp_path / name)


def test_without_pillow_the_remedy_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "from pathlib import Path; from ghn.data.decode import read_image\n"
        "try: read_image(Path('a.png'))\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "ghn[vision]"' in done.stdout


@pytest.mark.parametrize("suffix", [".png", ".ppm"])
def test_levels_of_16_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    levels = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    pillow.fromarray(levels).save(tmp_path / f"ramp{suffix}")
    pixels = np.asarray(read_image(tmp_path / f"ramp{suffix}"))
    assert pixels.shape == (8, 8, 3)
    np.testing.assert_array_equal(pixels[..., 0], np.rint(levels / 257).astype(np.uint8))


def test_formats_that_start_other_programs_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    def start(*_: object, **__: object) -> None:
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
    file = tmp_path / "picture.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(DataError, match=r"picture\.png cannot be read as an image"):
        read_image(file)
