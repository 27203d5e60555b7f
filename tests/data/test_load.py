"""Data sets from disk: both layouts of CIFAR, digits, and what is said when something is missing or damaged."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from ghn.data import DATA_SETS, DataError, folder, load

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHN_CACHE", str(tmp_path / "cache"))


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


def write_folder(root: Path, classes: int = 10, suffix: str = "png", size: int = 32) -> np.ndarray:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (classes, 2, size, size, 3), dtype=np.uint8)
    for split in ("train", "test"):
        for index in range(classes):
            (root / split / f"class{index}").mkdir(parents=True)
            for number in range(2):
                Image.fromarray(pixels[index, number]).save(root / split / f"class{index}" / f"{number:04}.{suffix}")
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


def test_folder_of_images_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = write_folder(tmp_path / "cifar10")
    first = load("cifar10", root=tmp_path)
    assert torch.equal(first.images, torch.from_numpy(pixels).flatten(0, 1).permute(0, 3, 1, 2))
    assert first.labels.tolist() == [index // 2 for index in range(20)]
    monkeypatch.setattr(folder, "_decode", lambda *_: pytest.fail("decoded again"))
    assert torch.equal(load("cifar10", root=tmp_path).images, first.images)


def test_changed_folder_is_decoded_again(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    load("cifar10", root=tmp_path)
    file = tmp_path / "cifar10" / "train" / "class0" / "0000.png"
    Image.new("RGB", (32, 32), (7, 8, 9)).save(file)
    os.utime(file, ns=(1, 1))
    assert load("cifar10", root=tmp_path).images[0, :, 0, 0].tolist() == [7, 8, 9]


def test_damaged_packed_file_is_made_again(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    first = load("cifar10", root=tmp_path)
    (packed,) = (tmp_path / "cache" / "packed").iterdir()
    packed.write_bytes(packed.read_bytes()[:1000])
    assert torch.equal(load("cifar10", root=tmp_path).images, first.images)


def test_unwritable_cache_only_costs_time(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(load("cifar10", root=tmp_path)) == 20


def test_damaged_image_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    (tmp_path / "cifar10" / "train" / "class3" / "0001.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"class3/0001\.png cannot be read as an image .* fetch the data set again"):
        load("cifar10", root=tmp_path)


def test_image_of_another_size_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    Image.new("RGB", (30, 32)).save(tmp_path / "cifar10" / "train" / "class3" / "0001.png")
    with pytest.raises(DataError, match=r"class3/0001\.png is 30×32 pixels, not 32×32"):
        load("cifar10", root=tmp_path)


@pytest.mark.parametrize("content", [b"P3\n4 4\n255\n" + b"1 x 3 " * 16, b"P6\n99999 99999\n255\n" + bytes(48)])
def test_every_kind_of_damage_is_named(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path / "cifar10")
    (tmp_path / "cifar10" / "train" / "class3" / "0001.png").write_bytes(content)
    with pytest.raises(DataError, match=r"class3/0001\.png cannot be read as an image .* fetch the data set again"):
        load("cifar10", root=tmp_path)


def test_hidden_entries_do_not_count(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    (tmp_path / "cifar10" / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "cifar10" / "train" / "class3" / "._0001.png").write_bytes(b"not for us")
    images = load("cifar10", root=tmp_path)
    assert images.classes == tuple(f"class{index}" for index in range(10))
    assert len(images) == 20


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_data_set_says_what_to_fetch(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"no {name} in .*: fetch https://\S+ and extract it there") as caught:
        load(name, root=tmp_path)
    assert "\n" not in str(caught.value)


def test_another_data_set_in_the_folder_is_not_mistaken(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=4)
    with pytest.raises(DataError, match="no cifar10 in"):
        load("cifar10", root=tmp_path)


def test_unknown_names() -> None:
    with pytest.raises(DataError, match="unknown data set 'mnist'; there are cifar10, cifar100, digits"):
        load("mnist")
    with pytest.raises(DataError, match="split must be train or test, not 'val'"):
        load("digits", split="val")  # type: ignore[arg-type]


def test_digits_need_no_files(tmp_path: Path) -> None:
    train, test = (load("digits", root=tmp_path, split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1297, 500)
    assert train.images.shape[1:] == (3, 32, 32)
    values = train.images.float() / 255
    assert torch.allclose(values.mean(dim=(0, 2, 3)), torch.tensor(train.mean), atol=2e-3)
    assert torch.allclose(values.std(dim=(0, 2, 3)), torch.tensor(train.std), atol=2e-3)


@pytest.mark.parametrize("name", sorted(set(DATA_SETS) - {"digits"}))
def test_every_data_set_on_disk_says_what_to_fetch(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="fetch"):
        load(name, root=tmp_path)
