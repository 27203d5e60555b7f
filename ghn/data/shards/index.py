"""Which images a set of shards holds, and where: found once by their headers, then kept in the cache folder.

Source: the layout of webdataset (https://github.com/webdataset/webdataset): files of one sample follow one another and
share their name up to the first dot; `.cls` holds the number of its class as text.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ghn.common.files import replaced
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import open_regular
from ghn.data.errors import DataError
from ghn.data.shards.member import Member, file_system

SUFFIXES = ("jpg", "jpeg", "png", "bmp", "ppm", "webp")

LONGEST_LABEL = 32
"""Bytes."""

MOST_CLASSES = 10_000_000

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Listed(NamedTuple):
    """Images and their labels (N,) int64."""

    files: tuple[Member, ...]
    labels: Tensor


def expand(pattern: str) -> list[str]:
    """The shards of a pattern: `{000..146}` stands for numbers, in a folder or an address; a folder for its `*.tar`.

    Raises:
        DataError: If there are none.
    """
    found = _RANGE.search(pattern)
    if found is not None:
        first, last = int(found[1]), int(found[2])
        if not 0 <= last - first <= 1_000_000:
            raise DataError(f"{pattern}: {found[0]} is no range of numbers; write {{000..146}}")
        width = len(found[1])
        names = [
            f"{pattern[: found.start()]}{number:0{width}}{pattern[found.end() :]}" for number in range(first, last + 1)
        ]
        return [shard for name in names for shard in expand(name)]
    if "://" in pattern:
        return [pattern]
    path = Path(pattern).expanduser()
    if path.is_dir():
        shards = sorted(str(entry) for entry in path.glob("*.tar"))
        if not shards:
            raise DataError(f"there are no shards in {path}: put *.tar there, or name them: {path}/{{000..146}}.tar")
        return shards
    if not path.exists():
        raise DataError(f"there is no shard {path}")
    return [str(path)]


def list_shards(shards: Sequence[str], cache: Path) -> Listed:
    """All images of some shards, in their order.

    Args:
        shards: Tar files, or their addresses.
        cache: Folder that keeps what was found; shards of another size or time are looked at again.

    Raises:
        DataError: When a shard is missing, compressed or damaged, or an image has no class.
    """
    kept = cache / "shards" / f"{_fingerprint(shards)}.safetensors"
    listed = _read(kept, shards)
    if listed is None:
        listed = _list(shards)
        _write(kept, shards, listed)
    if not listed.files:
        raise DataError(f"there are no images with a class in {shards[0]}: samples are NAME.jpg and NAME.cls")
    return listed


def _list(shards: Sequence[str]) -> Listed:
    files: list[Member] = []
    labels: list[int] = []
    for shard in shards:
        for image, label in _samples(shard):
            files.append(image)
            labels.append(label)
    return Listed(tuple(files), torch.tensor(labels, dtype=torch.int64))


def _samples(shard: str) -> Iterator[tuple[Member, int]]:
    """Images of a shard with their classes."""
    try:
        with _open(shard) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            key, image, label = None, None, None
            for info in archive:
                if not info.isreg() or info.name.rpartition("/")[2].startswith("."):
                    continue
                folder, _, name = info.name.rpartition("/")
                stem, _, ending = name.partition(".")
                if (folder, stem) != key:
                    if image is not None:
                        yield image, _class(image, label)
                    key, image, label = (folder, stem), None, None
                if ending.lower() in SUFFIXES:
                    image = Member(shard, info.name, info.offset_data, info.size)
                elif ending.lower() == "cls" and info.size <= LONGEST_LABEL:
                    opened = archive.extractfile(info)
                    label = b"" if opened is None else opened.read()
            if image is not None:
                yield image, _class(image, label)
    except (tarfile.TarError, OSError, FormatError) as error:
        hint = (
            "shards are plain tar files, the images in them are compressed"
            if shard.endswith("gz")
            else "fetch it again"
        )
        raise DataError(f"the shard {shard} cannot be read ({error}); {hint}") from error


def _open(shard: str) -> Any:
    return file_system(shard).open(shard, "rb") if "://" in shard else open_regular(shard)


def _class(image: Member, label: bytes | None) -> int:
    text = None if label is None else label.decode("ascii", "replace").strip()
    if text is None or not text.isdecimal() or int(text) >= MOST_CLASSES:
        found = "has none" if text is None else f"says {text!r}"
        raise DataError(f"{image} has no class: a sample has a file NAME.cls with a number, this one {found}")
    return int(text)


def _fingerprint(shards: Sequence[str]) -> str:
    """Changes with every shard's name, size and time of change; of addresses with name and size."""
    digest = hashlib.sha256()
    for shard in shards:
        try:
            if "://" in shard:
                facts = f"{file_system(shard).size(shard)}"
            else:
                status = os.stat(shard)
                facts = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError as error:
            raise DataError(f"the shard {shard} cannot be read ({error.strerror or error}); fetch it again") from error
        digest.update(f"{shard}\0{facts}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _read(file: Path, shards: Sequence[str]) -> Listed | None:
    """What was found before; None where there is nothing, or it is damaged."""
    try:
        open_regular(file).close()
        kept = load_file(file)
        names = bytes(kept["names"].numpy()).decode("utf-8", "surrogateescape").split("\0")
        rows = zip(kept["shards"].tolist(), names, kept["offsets"].tolist(), kept["sizes"].tolist(), strict=True)
        members = tuple(Member(shards[shard], name, offset, size) for shard, name, offset, size in rows)
        return Listed(members, kept["labels"])
    except (FormatError, SafetensorError, OSError, KeyError, ValueError, IndexError):
        return None


def _write(file: Path, shards: Sequence[str], listed: Listed) -> None:
    """Keep what was found; a cache that cannot be written only costs time."""
    places = {shard: place for place, shard in enumerate(shards)}
    names = "\0".join(member.name for member in listed.files).encode("utf-8", "surrogateescape")
    tensors = {
        "shards": torch.tensor([places[member.shard] for member in listed.files], dtype=torch.int64),
        "offsets": torch.tensor([member.offset for member in listed.files], dtype=torch.int64),
        "sizes": torch.tensor([member.size for member in listed.files], dtype=torch.int64),
        "labels": listed.labels,
        "names": torch.from_numpy(np.frombuffer(names, dtype=np.uint8).copy()),
    }
    with suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replaced(file) as temporary:
            save_file(tensors, temporary)
