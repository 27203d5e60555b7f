"""Both layouts of CIFAR, and what is said when something is missing or damaged."""

from __future__ import annotations

import os
import pickle
import resource
import struct
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ghn.data import DataError, load
from tests.data.folders import Image, write_folder


def write_batches(root: Path, name: str) -> np.ndarray:
    """CIFAR in the published format, with few images."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (6, 3072), dtype=np.uint8)
    if name == "cifar10":
        base, label, names, meta, classes = "cifar-10-batches-py", b"labels", b"label_names", "batches.meta", 10
        files = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    else:
        base, label, names, meta, classes = "cifar-100-python", b"fine_labels", b"fine_label_names", "meta", 100
        files = ["train", "test"]
    (root / base).mkdir(parents=True)
    for file in files:
        (root / base / file).write_bytes(pickle.dumps({b"data": pixels, label: [3, 1, 4, 1, 5, 9]}, protocol=2))
    (root / base / meta).write_bytes(pickle.dumps({names: [b"c%d" % index for index in range(classes)]}, protocol=2))
    return pixels


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_published_batches(tmp_path: Path, name: str) -> None:
    pixels = write_batches(tmp_path, name)
    images = load(name, root=tmp_path, split="test")
    assert torch.equal(images.images, torch.from_numpy(pixels).reshape(-1, 3, 32, 32))
    assert images.labels.tolist() == [3, 1, 4, 1, 5, 9]
    assert images.classes[3] == "c3"
    assert len(load(name, root=tmp_path)) == (30 if name == "cifar10" else 6)


def test_batches_found_one_folder_down_and_directly(tmp_path: Path) -> None:
    write_batches(tmp_path / "cifar10", "cifar10")
    assert len(load("cifar10", root=tmp_path, split="test")) == 6
    assert len(load("cifar10", root=tmp_path / "cifar10" / "cifar-10-batches-py", split="test")) == 6


def test_a_batch_cannot_run_code(tmp_path: Path) -> None:
    write_batches(tmp_path, "cifar10")

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "evil"),)

    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(DataError, match=r"test_batch is damaged or no CIFAR file: fetch https://.*cifar-10-python"):
        load("cifar10", root=tmp_path, split="test")
    assert not (tmp_path / "evil").exists()


def as_python_2_wrote_it(labels: list[int], pixels: np.ndarray) -> bytes:
    """A batch as the published files have it: strings of bytes, an array in numpy's old module."""

    def string(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<I", len(text)) + text

    dtype = b"cnumpy\ndtype\n(" + string(b"u1") + b"K\x00K\x01tR(K\x03" + string(b"|") + b"NNNJ\xff\xff\xff\xff" * 2
    dtype = dtype.replace(b"NNNJ\xff\xff\xff\xffNNNJ", b"NNNJ\xff\xff\xff\xffJ") + b"K\x00tb"
    shape = b"(K" + bytes([len(pixels)]) + b"M\x00\x0ct"
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + string(b"b") + b"tR"
    array = start + b"(K\x01" + shape + dtype + b"\x89" + string(pixels.tobytes()) + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    names = string(b"batch_label") + string(b"testing batch 1 of 1")
    return b"\x80\x02}(" + string(b"data") + array + string(b"labels") + listed + names + b"u."


def test_batches_as_python_2_wrote_them(tmp_path: Path) -> None:
    pixels = write_batches(tmp_path, "cifar10")
    batch = as_python_2_wrote_it([3, 1, 4, 1, 5, 9], pixels)
    assert pickle.loads(batch, encoding="bytes")[b"labels"] == [3, 1, 4, 1, 5, 9]
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(batch)
    images = load("cifar10", root=tmp_path, split="test")
    assert torch.equal(images.images, torch.from_numpy(pixels).reshape(-1, 3, 32, 32))
    assert images.labels.tolist() == [3, 1, 4, 1, 5, 9]


class Called:
    """Pickles as a call of a numpy name."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


FOUR = np.zeros((4, 3072), np.uint8)
HOSTILE: dict[str, bytes] = {
    "memo of gigabytes": b"\x80\x02Nr\x00\x00\x00\x08.",
    "array of objects": pickle.dumps({b"data": FOUR.astype(object), b"labels": [0] * 4}, 2),
    "array of a given buffer": pickle.dumps({b"data": Called(np.ndarray, (4, 3072), "u1", bytes(4 * 3072))}, 4),
    "array of terabytes": pickle.dumps({b"data": Called(np.ndarray, (1 << 40, 3072), "u1"), b"labels": []}, 2),
    "label that is an array": pickle.dumps({b"data": FOUR, b"labels": [np.array(0)] * 4}, 2),
    "label that is text": pickle.dumps({b"data": FOUR, b"labels": ["0"] * 4}, 2),
    "label that is nothing": pickle.dumps({b"data": FOUR, b"labels": [None] * 4}, 2),
    "label that is no class": pickle.dumps({b"data": FOUR, b"labels": [10] * 4}, 2),
    "label below all": pickle.dumps({b"data": FOUR, b"labels": [-1] * 4}, 2),
    "huge label": pickle.dumps({b"data": FOUR, b"labels": [10**30] * 4}, 2),
    "no images": pickle.dumps({b"data": FOUR[:0], b"labels": []}, 2),
    "fewer labels": pickle.dumps({b"data": FOUR, b"labels": [0] * 3}, 2),
    "images of another kind": pickle.dumps({b"data": FOUR.astype(np.float32), b"labels": [0] * 4}, 2),
    "images of another size": pickle.dumps({b"data": FOUR[:, :3000].copy(), b"labels": [0] * 4}, 2),
    "image without axes": pickle.dumps({b"data": np.zeros((), np.uint8), b"labels": []}, 2),
    "no dictionary": pickle.dumps([1, 2], 2),
    "deep": b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_batches_are_refused_at_once(tmp_path: Path, case: str) -> None:
    write_batches(tmp_path, "cifar10")
    file = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    file.write_bytes(HOSTILE[case])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(DataError, match=r"data_batch_1 is damaged|labels outside"):
        load("cifar10", root=tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
    assert time.process_time() - start < 10


@pytest.mark.parametrize("names", [[[1]] * 10, [b"\xff"] * 10, [b"x" * 300] * 10, None, ["x"] * 1001, [1] * 10, []])
def test_names_of_classes_are_short_texts(tmp_path: Path, names: Any) -> None:
    write_batches(tmp_path, "cifar10")
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, 2))
    with pytest.raises(DataError, match=r"batches\.meta is damaged|labels outside"):
        load("cifar10", root=tmp_path)


def test_names_of_classes_are_printable(tmp_path: Path) -> None:
    write_batches(tmp_path, "cifar10")
    content = pickle.dumps({b"label_names": [b"a\x1b[2J", "größe".encode(), *[b"x"] * 8]}, 2)
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(content)
    assert load("cifar10", root=tmp_path).classes[:3] == ("a\\x1b[2J", "größe", "x")


@pytest.mark.parametrize("keep", [0, 1, 100, 5000])
def test_truncated_batch(tmp_path: Path, keep: int) -> None:
    write_batches(tmp_path, "cifar10")
    file = tmp_path / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match="test_batch is damaged"):
        load("cifar10", root=tmp_path, split="test")


def test_missing_batch(tmp_path: Path) -> None:
    write_batches(tmp_path, "cifar10")
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(DataError, match="data_batch_4 is missing: fetch https"):
        load("cifar10", root=tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_data_set_says_what_to_fetch(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"no {name} in .*: fetch https://\S+ and extract it there") as caught:
        load(name, root=tmp_path)
    assert "\n" not in str(caught.value)


def test_another_data_set_in_the_folder_is_not_mistaken(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=4)
    with pytest.raises(DataError, match="no cifar10 in"):
        load("cifar10", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar10", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        ("cifar100", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    ],
)
def test_statistics_as_wide_resnet_published_them(
    tmp_path: Path, name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """In levels of 0..255; (0.2023, 0.1994, 0.2010), which many copy for CIFAR-10, are means over single images."""
    write_batches(tmp_path, name)
    images = load(name, root=tmp_path)
    assert [255 * value for value in images.mean] == pytest.approx(mean, abs=0.1)
    assert [255 * value for value in images.std] == pytest.approx(std, abs=0.1)


@pytest.mark.slow
def test_statistics_are_those_of_the_training_images(reference: Path, tmp_path: Path) -> None:
    pixels = []
    with tarfile.open(reference / "data" / "cifar10.tar.xz") as archive:
        for number, member in enumerate(archive):
            file = archive.extractfile(member) if number % 25 == 0 and "train/" in member.name else None
            if file is not None:
                pixels.append(np.asarray(Image.open(file), dtype=np.float64).reshape(-1, 3) / 255)
    assert len(pixels) > 1000
    write_batches(tmp_path, "cifar10")
    images = load("cifar10", root=tmp_path)
    assert np.concatenate(pixels).std(axis=0) == pytest.approx(images.std, abs=0.01)
    assert np.concatenate(pixels).mean(axis=0) == pytest.approx(images.mean, abs=0.015)
