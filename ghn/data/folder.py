"""Small images from a folder `<split>/<class>/*`, decoded once and then read from one packed file."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ghn.common.files import replaced
from ghn.common.text import printable
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import open_regular
from ghn.data.decode import read_image
from ghn.data.errors import DataError
from ghn.data.image_set import ImageSet

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp")

LISTED = 4
"""Kinds of files that a message names."""


def cache_folder() -> Path:
    """Where packed images are kept: $GHN_CACHE, else $XDG_CACHE_HOME/ghn, else ~/.cache/ghn."""
    base = os.environ.get("GHN_CACHE")
    if base:
        return Path(base).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")).expanduser() / "ghn"


def list_images(folder: Path, *, empty: bool = False) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """All images under `folder/<class>/` with the index of their class; classes and files in alphabetical order.

    Hidden folders and files are other programs' and do not count; what else is no image is named by a warning.

    Args:
        folder: That one.
        empty: Whether a folder of a class may be empty, as among test images.

    Raises:
        DataError: When there is no such folder, no image in it, or none in the folder of a class.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: put images there as {folder.name}/<class>/*.jpg")
    try:
        classes = tuple(sorted(entry.name for entry in visible(folder) if entry.is_dir()))
        found = [sorted(visible(folder / name)) for name in classes]
    except OSError as error:
        raise DataError(f"cannot list {error.filename or folder}: {error.strerror or error}") from error
    files = [(file, index) for index, entries in enumerate(found) for file in entries if _is_image(file)]
    if not files:
        raise DataError(f"no images in {folder}: put them there as {folder.name}/<class>/*.jpg{_others(found)}")
    for name, entries in zip(classes, found, strict=True):
        if not any(map(_is_image, entries)) and (entries or not empty):
            holds = _others([entries]) or "; it is empty"
            raise DataError(f"{folder / name} has no image that is read{holds}; mend or remove that class")
    if others := _others(found):
        warnings.warn(f"not all in {folder} is read{others}", stacklevel=2)
    return files, classes


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _others(found: Sequence[Sequence[Path]]) -> str:
    """What folders of classes hold besides images, in words; empty where that is nothing."""
    kinds = Counter(
        "folders" if file.is_dir() else printable(file.suffix.lower()) or "without suffix"
        for entries in found
        for file in entries
        if not _is_image(file)
    )
    if not kinds:
        return ""
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(LISTED))
    return f"; it holds {listed}{', …' if len(kinds) > LISTED else ''}, and what is read are {', '.join(SUFFIXES)}"


def visible(folder: Path) -> Iterator[Path]:
    """Entries of a folder whose name does not begin with a dot (`.ipynb_checkpoints`, macOS's `._0.png`)."""
    return (entry for entry in folder.iterdir() if not entry.name.startswith("."))


def read_folder(
    root: Path,
    split: str,
    *,
    name: str,
    image_size: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> ImageSet:
    """Images of `root/split/<class>/`, from the packed file of an earlier call where the folder is unchanged.

    Args:
        root: Folder of the data set.
        split: "train" or "test".
        name: Name of the data set, part of the packed file's name.
        image_size: Side in pixels that every image must have.
        mean: See `ImageSet`.
        std: See `ImageSet`.

    Raises:
        DataError: When an image cannot be read or has another size.
    """
    files, classes = list_images(root / split, empty=split == "test")
    shape = (len(files), 3, image_size, image_size)
    packed = cache_folder() / "packed" / f"{name}-{split}-{_fingerprint(files)}.safetensors"
    images = _read_packed(packed, shape)
    if images is None:
        images = _decode(files, image_size)
        _write_packed(packed, images)
    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    return ImageSet(name=name, images=images, labels=labels, classes=classes, mean=mean, std=std)


def _fingerprint(files: list[tuple[Path, int]]) -> str:
    """Changes with every file's path, size and time of change.

    Raises:
        DataError: When a file is not there: a link that leads nowhere, or one that was removed meanwhile.
    """
    digest = hashlib.sha256()
    for file, _ in files:
        try:
            status = file.stat()
        except OSError as error:
            raise DataError(
                f"{file} cannot be read as an image ({error.strerror}); remove it, or fetch it again"
            ) from error
        text = f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _decode(files: list[tuple[Path, int]], image_size: int) -> Tensor:
    pixels = np.empty((len(files), image_size, image_size, 3), dtype=np.uint8)
    for index, (file, _) in enumerate(files):
        array = np.asarray(read_image(file))
        if array.shape != pixels.shape[1:]:
            rows, columns = array.shape[:2]
            raise DataError(
                f"{file} is {columns}×{rows} pixels, not {image_size}×{image_size}; fetch the data set again"
            )
        pixels[index] = array
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _read_packed(file: Path, shape: tuple[int, ...]) -> Tensor | None:
    """The packed images, or None where there are none or the file is damaged (they are then decoded again)."""
    try:
        open_regular(file).close()
        with safe_open(file, framework="pt") as packed:
            stored = packed.get_slice("images")
            if tuple(stored.get_shape()) != shape or stored.get_dtype() != "U8":
                return None
            images: Tensor = packed.get_tensor("images")
            return images
    except (FormatError, SafetensorError, OSError, KeyError):
        return None


def _write_packed(file: Path, images: Tensor) -> None:
    """Write the packed file; a cache that cannot be written (full disk, read-only home) only costs time."""
    with suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replaced(file) as temporary:
            save_file({"images": images}, temporary)
