"""Folders of small images are decoded once; what is said when an image is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ghn.data import DataError, folder, load
from ghn.data.folder import cache_folder, list_images
from tests.data.folders import Image, write_folder


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
    with pytest.raises(DataError, match=r"class3/0001\.png cannot be read as an image .* remove it, or fetch it again"):
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
    with pytest.raises(DataError, match=r"class3/0001\.png cannot be read as an image .* remove it, or fetch it again"):
        load("cifar10", root=tmp_path)


def test_hidden_entries_do_not_count(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    (tmp_path / "cifar10" / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "cifar10" / "train" / "class3" / "._0001.png").write_bytes(b"not for us")
    images = load("cifar10", root=tmp_path)
    assert images.classes == tuple(f"class{index}" for index in range(10))
    assert len(images) == 20


def test_classes_and_files_are_in_alphabetical_order_whatever_the_disk_says(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/10.jpeg", "a/x.webp", "a/notes.txt", "c/.keep", "c/0.png"):
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / name).touch()
    (tmp_path / "train" / "stray.png").touch()
    with pytest.warns(UserWarning, match=r"it holds 1 \.txt"):
        files, classes = list_images(tmp_path / "train")
    assert classes == ("a", "b", "c")
    assert [(str(file.relative_to(tmp_path / "train")), label) for file, label in files] == [
        ("a/x.webp", 0),
        ("b/10.jpeg", 1),
        ("b/2.PNG", 1),
        ("c/0.png", 2),
    ]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*/val: put images there as val/<class>/\*\.jpg"):
        list_images(tmp_path / "val")
    (tmp_path / "val" / "class").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no images in .*/val: put them there as val/<class>/\*\.jpg"):
        list_images(tmp_path / "val")


def test_where_packed_images_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHN_CACHE", "~/here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/here")
    monkeypatch.delenv("GHN_CACHE")
    assert cache_folder() == tmp_path / "ghn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path("/home/someone/.cache/ghn")


def test_a_packed_file_of_other_images_is_made_again(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    first = load("cifar10", root=tmp_path)
    (packed,) = (tmp_path / "cache" / "packed").iterdir()
    for other in (torch.zeros(3, dtype=torch.uint8), torch.zeros(first.images.shape)):
        save_file({"images": other}, packed)
        assert torch.equal(load("cifar10", root=tmp_path).images, first.images)
    packed.unlink()
    os.mkfifo(packed)
    assert torch.equal(load("cifar10", root=tmp_path).images, first.images)


def test_an_image_that_changed_in_place_is_decoded_again(tmp_path: Path) -> None:
    """Its path and its size are as before; only the time tells."""
    write_folder(tmp_path / "cifar10", suffix="bmp")
    load("cifar10", root=tmp_path)
    file = tmp_path / "cifar10" / "train" / "class0" / "0000.bmp"
    before = file.stat()
    Image.new("RGB", (32, 32), (7, 8, 9)).save(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file.stat().st_size == before.st_size
    assert load("cifar10", root=tmp_path).images[0, :, 0, 0].tolist() == [7, 8, 9]


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar10")
    (tmp_path / "cifar10" / "train" / "class3" / "x.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"x\.png cannot be read as an image \(No such file or directory\)"):
        load("cifar10", root=tmp_path)


def classes(root: Path, **files: list[str]) -> Path:
    """A folder of classes with files of the given names."""
    for name, names in files.items():
        (root / name).mkdir(parents=True)
        for file in names:
            if file.endswith("/"):
                (root / name / file).mkdir()
            else:
                Image.new("RGB", (8, 8)).save(root / name / file)
    return root


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], r"cat has no image that is read; it is empty; mend or remove that class"),
        (["1.gif", "2.gif", "3.tif"], r"cat has no image that is read; it holds 2 \.gif, 1 \.tif, and .* \.jpg, .*"),
        (["inner/"], r"cat has no image that is read; it holds 1 folders, and what is read are .*"),
    ],
)
def test_a_class_without_images_is_named(names: list[str], said: str, tmp_path: Path) -> None:
    folder = classes(tmp_path / "pets", cat=names, dog=["1.png", "2.png"])
    with pytest.raises(DataError, match=said):
        list_images(folder)


def test_among_test_images_a_class_may_be_empty_but_not_unreadable(tmp_path: Path) -> None:
    folder = classes(tmp_path / "test", cat=[], dog=["1.png"])
    files, names = list_images(folder, empty=True)
    assert (names, [label for _, label in files]) == (("cat", "dog"), [1])
    Image.new("RGB", (8, 8)).save(folder / "cat" / "1.gif")
    with pytest.raises(DataError, match=r"it holds 1 \.gif"):
        list_images(folder, empty=True)


def test_files_that_are_left_out_are_named_by_a_warning(tmp_path: Path) -> None:
    folder = classes(tmp_path / "pets", cat=["1.png", "1.gif", "inner/"], dog=["1.PNG", "2.gif", ".hidden.gif"])
    with pytest.warns(UserWarning, match=r"not all in .*pets is read; it holds 2 \.gif, 1 folders, and what is read"):
        files, _ = list_images(folder)
    assert [file.name for file, _ in files] == ["1.png", "1.PNG"]


def test_a_folder_of_nothing_else_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images in .*: put them there .*; it holds 2 \.gif"):
        list_images(classes(tmp_path / "pets", cat=["1.gif"], dog=["1.gif"]))
