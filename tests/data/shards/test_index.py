"""Shards as webdataset writes them: which images there are, and what is refused."""

from __future__ import annotations

import gc
import tarfile
import uuid
import warnings
from pathlib import Path

import pytest
import torch

from ghn.data import DataError, ImageFolder, ImageFolderStream
from ghn.data.load import load_shards
from ghn.data.shards.index import expand, list_shards
from tests.data.tars import png, write

pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GHN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards with three images each, among other files."""
    for shard in range(2):
        content: dict[str, bytes] = {}
        for number in range(3):
            stem = f"folder/{shard}{number}"
            content |= {
                f"{stem}.json": b"{}",
                f"{stem}.png": png(40 * shard + 10 * number),
                f"{stem}.cls": b"%d\n" % shard,
            }
        write(tmp_path / "shards" / f"{shard:03d}.tar", content)
    return tmp_path / "shards"


def test_images_are_those_of_webdataset(shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    files, labels = list_shards(expand(str(shards)), shards.parent / "cache")
    with warnings.catch_warnings():
        # It leaves files open.
        warnings.simplefilter("ignore")
        dataset = webdataset.WebDataset([str(shards / "000.tar"), str(shards / "001.tar")], shardshuffle=False)
        theirs = [(sample["png"], int(sample["cls"])) for sample in dataset]
        del dataset
        gc.collect()
    assert [(file.read(), int(label)) for file, label in zip(files, labels, strict=True)] == theirs


def test_patterns_folders_and_addresses(shards: Path, tmp_path: Path) -> None:
    both = [str(shards / "000.tar"), str(shards / "001.tar")]
    assert expand(str(shards)) == expand(f"{shards}/{{000..001}}.tar") == both
    assert expand("s3://b/{9..11}.tar") == ["s3://b/9.tar", "s3://b/10.tar", "s3://b/11.tar"]
    for wrong, message in (
        (f"{shards}/{{000..002}}.tar", "there is no shard .*002.tar"),
        (f"{shards}/{{3..1}}.tar", "is no range of numbers"),
        (str(tmp_path / "none"), "there is no shard"),
    ):
        with pytest.raises(DataError, match=message):
            expand(wrong)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no shards in"):
        expand(str(tmp_path / "empty"))
    fsspec = pytest.importorskip("fsspec")
    address = f"memory://{uuid.uuid4().hex}/0.tar"
    with fsspec.open(address, "wb") as file:
        file.write((shards / "001.tar").read_bytes())
    files, labels = list_shards([address], tmp_path / "cache")
    assert [file.read() for file in files] == [png(40), png(50), png(60)]
    assert labels.tolist() == [1, 1, 1]


def test_what_was_found_is_kept_until_a_shard_changes(shards: Path, cache: Path) -> None:
    first = ImageFolder.open_shards(str(shards))
    (kept,) = (cache / "shards").iterdir()
    again = ImageFolder.open_shards(str(shards))
    assert again.files == first.files
    assert torch.equal(again.labels, first.labels)
    kept.write_bytes(kept.read_bytes()[:-1])
    assert ImageFolder.open_shards(str(shards)).files == first.files, "a damaged index is made anew"
    write(shards / "001.tar", {"a.png": png(1), "a.cls": b"7"})
    changed = ImageFolder.open_shards(str(shards))
    assert len(changed) == 4
    assert changed.classes == tuple(map(str, range(8)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.png": b"x"}, r"a.png has no class: a sample has a file NAME.cls with a number, this one has none"),
        ({"a.png": b"x", "a.cls": b"cat"}, "this one says 'cat'"),
        ({"a.png": b"x", "a.cls": b"-1"}, "this one says '-1'"),
        ({"a.txt": b"x"}, "there are no images with a class"),
        ({}, "there are no images with a class"),
    ],
)
def test_samples_without_a_class_are_refused(content: dict[str, bytes], message: str, tmp_path: Path) -> None:
    write(tmp_path / "0.tar", content)
    with pytest.raises(DataError, match=message):
        ImageFolder.open_shards(str(tmp_path / "0.tar"))


def test_shards_that_are_compressed_or_damaged_are_one_line(tmp_path: Path, shards: Path) -> None:
    with tarfile.open(tmp_path / "0.tar.gz", "w:gz"):
        pass
    with pytest.raises(DataError, match="shards are plain tar files"):
        ImageFolder.open_shards(str(tmp_path / "0.tar.gz"))
    whole = (shards / "000.tar").read_bytes()
    (tmp_path / "bad.tar").write_bytes(b"\xff" * 512 + whole)
    with pytest.raises(DataError, match="cannot be read"):
        ImageFolder.open_shards(str(tmp_path / "bad.tar"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_of_shards_is_that_of_the_same_files(shards: Path, tmp_path: Path, workers: int) -> None:
    pytest.importorskip("torchvision")
    in_shards = ImageFolder.open_shards(str(shards), image_size=8)
    for member, label in zip(in_shards.files, in_shards.labels.tolist(), strict=True):
        file = tmp_path / "files" / str(label) / Path(str(member)).name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(member.read())  # type: ignore[union-attr]
    in_files = ImageFolder.open(tmp_path / "files", image_size=8)
    one = ImageFolderStream(in_shards, batch_size=4, seed=3, augment=True, workers=workers)
    other = ImageFolderStream(in_files, batch_size=4, seed=3, augment=True)
    for index in range(3):
        for found, expected in zip(one.batch(index), other.batch(index), strict=True):
            assert torch.equal(found, expected)


def test_training_and_test_images(shards: Path, tmp_path: Path) -> None:
    train, test = load_shards(f"webdataset:{shards}", 32)
    assert (len(train), len(test), train.image_size) == (5, 1, 32)
    write(tmp_path / "both" / "train" / "0.tar", {"a.png": png(1), "a.cls": b"2"})
    write(tmp_path / "both" / "val" / "0.tar", {"a.png": png(1), "a.cls": b"0"})
    train, test = load_shards(f"webdataset:{tmp_path / 'both'}", 32)
    assert train.classes == test.classes == ("0", "1", "2")
    write(tmp_path / "both" / "val" / "1.tar", {"a.png": png(1), "a.cls": b"3"})
    with pytest.raises(DataError, match="has images of class 3; there are 3 classes"):
        load_shards(f"webdataset:{tmp_path / 'both'}", 32)
