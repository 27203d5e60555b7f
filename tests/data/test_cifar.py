"""Both layouts of CIFAR, and what is said when something is missing or damaged."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from ghn.data import DataError, load
from tests.data.folders import write_folder


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
