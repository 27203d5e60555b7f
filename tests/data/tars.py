"""Shards with images of one grey value."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def png(grey: int, size: tuple[int, int] = (16, 12)) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(file, "PNG")
    return file.getvalue()


def write(file: Path, content: Mapping[str, bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_shard(folder: Path, count: int = 2, images: int = 8) -> Path:
    """A folder with a shard of so many classes, each with so many images of its grey value."""
    content = {}
    for number in range(count * images):
        content[f"{number:03d}.png"] = png(100 * (number % count))
        content[f"{number:03d}.cls"] = b"%d" % (number % count)
    write(folder / "0.tar", content)
    return folder
