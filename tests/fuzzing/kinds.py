"""Each kind of file that others may have written: a sound one, how it is damaged, and what reads it."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from ghn.checkpoint import describe
from ghn.checkpoint.convert import read_hypernetwork
from ghn.checkpoint.save import write_checkpoint
from ghn.common.errors import OneLineError
from ghn.common.untrusted.json_text import parse_json
from ghn.data.cifar import load_cifar
from ghn.data.decode import read_image
from ghn.deepnets import DeepNets, write_published
from ghn.deepnets.published import read_arrays, read_metadata
from ghn.draw import to_dot, to_svg
from ghn.graph.files import from_json, to_json
from ghn.hypernet import GHN
from ghn.hypernet.config import GHNConfig
from ghn.meta import MetaTrainingConfig
from ghn.meta.export import export
from ghn.meta.stepper import meta_trainer
from ghn.model import from_pretrained
from ghn.training.state import CURRENT, load_state, save_state
from tests.checkpoint.files import FORMATS, random_state
from tests.draw.graphs import rich_graph
from tests.fuzzing.mutations import damaged, damaged_json, damaged_pickle, damaged_zip

SMALL = GHNConfig(hidden=4, layers=1, heads=1, num_classes=2, max_channels=2, spatial=2)

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        prepare: Makes sound files in a folder; returns those that may be damaged, each with how.
        read: Reads what is in the folder.
    """

    prepare: Callable[[Path], dict[Path, Damage]]
    read: Callable[[Path], Any]


def _published(folder: Path, names: tuple[str, ...], damage: Damage) -> dict[Path, Damage]:
    files = {}
    for name in names:
        (folder / f"{name}.pt").write_bytes(FORMATS[name](random_state(SMALL)))
        files[folder / f"{name}.pt"] = damage
    return files


def _read_published(file: Path) -> None:
    _, state = read_hypernetwork(file)
    assert all(tensor.isfinite().all() for tensor in state.values())


def _native(folder: Path) -> dict[Path, Damage]:
    write_checkpoint(folder, random_state(SMALL), SMALL)
    return {folder / "config.json": damaged_json, folder / "model.safetensors": damaged_safetensors}


def damaged_safetensors(content: bytes, draw: random.Random) -> bytes:
    """Bytes anywhere, in the header, or the header's values with a length that fits."""
    length = int.from_bytes(content[:8], "little")
    if draw.random() < 0.3:
        return damaged(content, draw)
    header = damaged_json(content[8 : 8 + length], draw)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _read_native(file: Path) -> None:
    describe(file.parent)
    from_pretrained(file.parent)


def _state(folder: Path) -> dict[Path, Damage]:
    config = MetaTrainingConfig(hypernet=SMALL)
    save_state(folder, meta_trainer(config, GHN(SMALL)).state_dict())
    return {folder / CURRENT: damaged_zip}


def _read_state(file: Path) -> None:
    load_state(file.parent, keys=("config", "step"))
    export(file.parent, file.parent / "exported")


def _config(folder: Path) -> dict[Path, Damage]:
    (folder / "config.json").write_text(json.dumps(MetaTrainingConfig(hypernet=SMALL).to_dict()))
    return {folder / "config.json": damaged_json}


def _read_config(file: Path) -> None:
    values = parse_json(file.read_bytes().decode("utf-8", "replace"))
    try:
        MetaTrainingConfig.from_dict(values)
    except ValueError as error:
        message = str(error)
    else:
        return
    # An ordinary ValueError, as for values that a program gives; of a folder's it becomes a StateError.
    assert message.isprintable(), message
    raise OneLineError(message)


def _cifar(folder: Path) -> dict[Path, Damage]:
    base = folder / "cifar-10-batches-py"
    base.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
    for protocol, name in ((2, "test_batch"), (4, "batches.meta")):
        content: dict[bytes, Any] = {b"label_names": [b"c%d" % index for index in range(10)]}
        if name == "test_batch":
            content = {b"data": pixels, b"labels": [3, 1], b"filenames": [b"a", b"b"]}
        (base / name).write_bytes(pickle.dumps(content, protocol))
    return {base / "test_batch": damaged_pickle, base / "batches.meta": damaged_pickle}


def _images(folder: Path) -> dict[Path, Damage]:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    files: dict[Path, Damage] = {}
    for number, suffix in enumerate(("png", "jpg", "bmp", "ppm", "webp")):
        file = folder / f"{number}.{suffix}"
        picture.save(file)
        files[file] = damaged
    picture.save(folder / "p.jpg", progressive=True)
    files[folder / "p.jpg"] = damaged
    for mode in ("P", "RGBA", "I;16", "1"):
        converted = Image.fromarray(pixels[..., 0].astype(np.uint16)) if mode == "I;16" else picture.convert(mode)
        converted.save(folder / f"{mode[0]}.png")
        files[folder / f"{mode[0]}.png"] = damaged
    return files


def _graph(folder: Path) -> dict[Path, Damage]:
    (folder / "graph.json").write_text(to_json(rich_graph()), encoding="utf-8")
    return {folder / "graph.json": damaged_json}


def _read_graph(file: Path) -> None:
    graph = from_json(file.read_bytes().decode("utf-8", "surrogateescape"))
    svg = to_svg(graph)
    ElementTree.fromstring(svg.encode("utf-8"))
    for text in (svg, to_dot(graph), to_json(graph)):
        assert text.replace("\n", "").isprintable()
        assert "<script" not in text.replace(to_json(graph), "").replace(to_dot(graph), "")
    assert from_json(to_json(graph)).nodes == graph.nodes


def _deepnets(folder: Path) -> dict[Path, Damage]:
    networks = DeepNets("val")
    arrays, metadata = write_published(folder, "x", {"val": [networks.arguments(index) for index in range(2)]})
    return {metadata: damaged_json, arrays: damaged}


def _read_deepnets(file: Path) -> None:
    (metadata,) = file.parent.glob("*_meta.json")
    if file == metadata:
        read_metadata(metadata)
    read_arrays(metadata, "val", 1)


PICKLES = ("joblib-protocol-2", "pickle", "pickle-numpy-protocol-2", "joblib-parameters")
BYTES = ("joblib", "joblib-zlib", "joblib-bz2", "joblib-xz", "joblib-lzma", "joblib-gzip", "torch-old", "joblib-numpy")

KINDS: dict[str, Kind] = {
    "released archives": Kind(
        lambda folder: _published(folder, ("torch", "torch-training", "torch-transposed"), damaged_zip), _read_published
    ),
    "released pickles": Kind(lambda folder: _published(folder, PICKLES, damaged_pickle), _read_published),
    "released files": Kind(lambda folder: _published(folder, BYTES, damaged), _read_published),
    "native folders": Kind(_native, _read_native),
    "states": Kind(_state, _read_state),
    "configurations": Kind(_config, _read_config),
    "CIFAR": Kind(_cifar, lambda file: load_cifar("cifar10", file.parent.parent, "test")),
    "images": Kind(_images, lambda file: np.asarray(read_image(file))),
    "graphs": Kind(_graph, _read_graph),
    "DeepNets": Kind(_deepnets, _read_deepnets),
}
