"""Folders of images of various sizes."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import pickle
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ghn.data import DataError, ImageFolder, ImageFolderStream
from ghn.data.image_folder import make_transform

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("torchvision")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with images of four sizes."""
    for index, name in enumerate(("cat", "dog")):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number, size in enumerate([(40, 30), (30, 40), (16, 16), (100, 20)]):
            grey = 100 * index + 10 * number
            Image.new("RGB", size, (grey, grey, grey)).save(tmp_path / "train" / name / f"{number}.png")
    return tmp_path


def greys(images: torch.Tensor) -> list[int]:
    """The grey value of each (uniform) image."""
    red = images[:, 0] * (0.229 * 255) + 0.485 * 255
    assert (red.flatten(1).amax(dim=1) - red.flatten(1).amin(dim=1)).max() < 1
    return red.mean(dim=(1, 2)).round().int().tolist()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_holds_every_image_once_with_its_label(root: Path, workers: int) -> None:
    folder = ImageFolder.open(root, "train", image_size=24)
    assert folder.classes == ("cat", "dog")
    stream = ImageFolderStream(folder, batch_size=2, workers=workers)
    seen = []
    for images, labels in stream.epoch():
        assert images.shape == (2, 3, 24, 24)
        assert [grey // 100 for grey in greys(images)] == labels.tolist()
        seen += greys(images)
    assert sorted(seen) == [0, 10, 20, 30, 100, 110, 120, 130]


def test_a_batch_depends_on_seed_and_number_only(root: Path) -> None:
    folder = ImageFolder.open(root, "train", image_size=24)
    first, other = (ImageFolderStream(folder, batch_size=3, seed=1, augment=True) for _ in range(2))
    in_order = [first.batch(index) for index in range(4)]
    state = torch.get_rng_state()
    for index in (3, 1, 2, 0):
        for mine, theirs in zip(in_order[index], other.batch(index), strict=True):
            assert torch.equal(mine, theirs)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(in_order[0][0], ImageFolderStream(folder, batch_size=3, seed=2, augment=True).batch(0)[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_decoders_go_on_where_a_rank_takes_its_share_of_each_step(
    root: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ImageFolder.open(root, "train", image_size=24)
    stream = ImageFolderStream(folder, batch_size=2, augment=True, workers=workers, every=5, taken=range(2, 4))
    whole = ImageFolderStream(folder, batch_size=2, augment=True)
    starts: list[int] = []
    start = ImageFolderStream._start

    def counted(self: ImageFolderStream, index: int) -> Iterator[Any]:
        if self is stream:
            starts.append(index)
        return start(self, index)

    monkeypatch.setattr(ImageFolderStream, "_start", counted)
    for index in (8, 12, 13, 17, 7, 8):
        assert torch.equal(stream.batch(index)[0], whole.batch(index)[0])
    assert starts == [8, 7], "only a number out of order starts the decoders anew"
    unpickled, original = pickle.loads(pickle.dumps(stream))[7], whole[7]
    assert isinstance(original, tuple)
    assert torch.equal(unpickled[0], original[0]), "workers of other platforms unpickle it"


def test_subsets(root: Path) -> None:
    folder = ImageFolder.open(root, "train")
    kept, held = folder.hold_out(2)
    assert held.labels.tolist() == [0, 1]
    assert sorted(map(str, (*kept.files, *held.files))) == sorted(map(str, folder.files))
    assert torch.bincount(folder.few_shot(4).labels).tolist() == [2, 2]


def test_test_images_may_be_called_val(root: Path) -> None:
    (root / "train").rename(root / "val")
    assert len(ImageFolder.open(root, "test")) == 8


def test_missing_and_damaged(root: Path) -> None:
    with pytest.raises(DataError, match=r"no imagenet in .*: fetch ILSVRC2012 .* as test/<class>/\*\.jpg"):
        ImageFolder.open(root, "test", name="imagenet")
    (root / "empty" / "train" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="no images in"):
        ImageFolder.open(root / "empty", "train")


@pytest.mark.parametrize(
    ("content", "workers"),
    [
        (b"no image", 0),
        (b"no image", 1),
        # Pillow raises a ValueError and a DecompressionBombError.
        (b"P3\n4 4\n255\n" + b"1 x 3 " * 16, 0),
        (b"P6\n99999 99999\n255\n" + bytes(48), 0),
    ],
    ids=["unknown", "in a worker", "no number", "too large"],
)
def test_a_damaged_image_is_named_in_one_line(root: Path, content: bytes, workers: int) -> None:
    (root / "train" / "cat" / "0.png").write_bytes(content)
    stream = ImageFolderStream(ImageFolder.open(root, "train", image_size=24), batch_size=8, workers=workers)
    with pytest.raises(DataError) as caught:
        stream.batch(0)
    assert re.fullmatch(
        r".*/cat/0\.png cannot be read as an image \(.*\); remove it, or fetch it again", str(caught.value)
    )


def test_hidden_entries_do_not_count(root: Path) -> None:
    (root / "train" / ".ipynb_checkpoints").mkdir()
    for hidden in (".ipynb_checkpoints/0.png", "cat/._0.png"):
        (root / "train" / hidden).write_bytes(b"not for us")
    folder = ImageFolder.open(root, "train")
    assert folder.classes == ("cat", "dog")
    assert len(folder) == 8


def test_decoders_outlast_signals_that_reach_the_whole_job(root: Path) -> None:
    """Terminals and schedulers send them to every process; the training still finishes its step and saves."""
    folder = ImageFolder.open(root, "train", image_size=24)
    before = set(multiprocessing.active_children())
    stream = ImageFolderStream(folder, batch_size=2, workers=1)
    stream.batch(0)
    (worker,) = set(multiprocessing.active_children()) - before
    for number in (signal.SIGTERM, signal.SIGINT):
        # A stranger sends it: SIGTERM from its own parent ends a worker.
        subprocess.run([sys.executable, "-c", f"import os; os.kill({worker.pid}, {int(number)})"], check=True)
    for index in range(1, 30):
        stream.batch(index)
    assert worker.is_alive()


def test_a_stream_ends_with_its_last_reference(root: Path) -> None:
    """Found by the garbage collection, its workers would be waited for for five seconds each."""
    stream = ImageFolderStream(ImageFolder.open(root, "train", image_size=24), batch_size=2, workers=1)
    gc.collect()
    gc.disable()
    try:
        stream.batch(0)
        (worker,) = multiprocessing.active_children()
        del stream
        assert not worker.is_alive()
    finally:
        gc.enable()


def test_the_rest_of_an_epoch(root: Path) -> None:
    folder = ImageFolder.open(root, "train", image_size=24)
    stream = ImageFolderStream(folder, batch_size=3, seed=1)
    images, labels = stream.rest()
    assert [grey // 100 for grey in greys(images)] == labels.tolist()
    seen = greys(images) + [grey for batch, _ in stream.epoch() for grey in greys(batch)]
    assert sorted(seen) == [0, 10, 20, 30, 100, 110, 120, 130]
    assert stream.images_per_epoch == 8


def test_real_photographs(reference: Path) -> None:
    folder = ImageFolder.open(reference / "data" / "imagenet-sample", name="imagenet-sample", image_size=64)
    images, labels = ImageFolderStream(folder, batch_size=8, augment=True).batch(0)
    assert images.shape == (8, 3, 64, 64)
    assert 0.3 < images.std() < 3
    assert len(labels.unique()) == 8


def test_batches_of_an_epoch_are_augmented_differently(tmp_path: Path) -> None:
    (tmp_path / "train" / "same").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for number in range(6):
        Image.fromarray(pixels).save(tmp_path / "train" / "same" / f"{number}.png")
    stream = ImageFolderStream(ImageFolder.open(tmp_path, "train", image_size=24), batch_size=2, augment=True)
    batches = [stream.batch(index)[0] for index in range(2 * stream.batches_per_epoch)]
    assert stream.batches_per_epoch == 3
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(batches, 2))


@pytest.mark.parametrize("side", [32, 64, 128])
def test_for_evaluation_the_image_is_enlarged_by_8_7_before_its_centre_is_cut_out(side: int) -> None:
    """A sixteenth of the image is lost on every side, whatever its size: here the frame, and none of what it frames."""
    margin = side // 16
    pixels = np.full((side, side, 3), 255, dtype=np.uint8)
    pixels[margin:-margin, margin:-margin] = 100
    pixels[2 * margin : -2 * margin, 2 * margin : -2 * margin] = 0
    made = make_transform(28, augment=False)(Image.fromarray(pixels))[0]
    assert made.shape == (28, 28)
    columns = made[14].tolist()
    # 7/8 of the side are 28 pixels, so a sixteenth are 2: the inner frame, blurred where it meets the rest.
    assert columns == columns[::-1]
    assert 60 < min(columns[:2]) <= max(columns[:2]) < 150
    assert max(columns[3:-3]) < 15


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (3, 151)])
def test_images_too_narrow_to_enlarge_are_refused(root: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(root / "train" / "cat" / "narrow.png")
    stream = ImageFolderStream(ImageFolder.open(root, "train", image_size=224), batch_size=1)
    columns, rows = size
    with pytest.raises(DataError, match=rf"narrow\.png is {columns:,}×{rows:,} pixels, too narrow for a square"):
        list(stream.epoch())


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_images_are_passed_over_up_to_a_limit(root: Path, workers: int) -> None:
    for name in ("cat/1.png", "dog/2.png"):
        (root / "train" / name).write_bytes(b"no image")
    folder = ImageFolder.open(root, "train", image_size=24)
    stream = ImageFolderStream(folder, batch_size=4, workers=workers, skip=2)
    with pytest.warns(UserWarning, match=r"passed over, \d of at most 2: .*cannot be read as an image"):
        batches = [stream.batch(index) for index in range(2)]
    assert sorted(Path(text.split()[0]).name for text in stream.damaged) == ["1.png", "2.png"]
    for images, labels in batches:
        assert len(images) == 4
        assert [grey // 100 for grey in greys(images)] == labels.tolist(), "each has the label of what took its place"
    # The same again, whoever decodes, and nothing is told twice.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = stream.batch(0)
    assert torch.equal(again[0], batches[0][0])
    strict = ImageFolderStream(folder, batch_size=8, workers=workers, skip=1)
    with pytest.raises(DataError, match=r"2 images are damaged, at most 1 are passed over|cannot be read as an image"):
        strict.batch(0)
    with pytest.raises(DataError, match="cannot be read as an image"):
        ImageFolderStream(folder, batch_size=8, workers=workers).batch(0)
