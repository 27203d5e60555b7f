"""Images a second on one core: our stream, from files and from shards, beside torchvision's and webdataset's loaders.

python -m benchmarks.images FOLDER --images 500

FOLDER holds <class>/*.jpg. All decode the same images to 224 pixels with the same augmentation, in batches of 64, in
this process; the best of several passes counts.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import markdown, save
from ghn.data.image_folder import ImageFolder, ImageFolderStream, make_transform

BATCH = 64


def shards_of(folder: ImageFolder, place: Path, count: int = 2) -> None:
    """Write a folder's images as shards."""
    import webdataset

    each = -(-len(folder) // count)
    for shard in range(count):
        with webdataset.TarWriter(str(place / f"{shard:03d}.tar")) as writer:
            for item in range(shard * each, min(len(folder), (shard + 1) * each)):
                content = Path(str(folder.files[item])).read_bytes()
                writer.write({"__key__": f"{item:06d}", "jpg": content, "cls": str(int(folder.labels[item]))})


def ours(images: ImageFolder) -> Callable[[], int]:
    """A pass of our stream."""

    def pass_() -> int:
        stream = ImageFolderStream(images, batch_size=BATCH, augment=True)
        return sum(len(labels) for _, labels in stream.epoch())

    return pass_


def torchvision_loader(folder: Path, count: int) -> Callable[[], int]:
    """A pass of torchvision's ImageFolder in PyTorch's loader."""
    from torchvision.datasets import ImageFolder as Files

    files = torch.utils.data.Subset(Files(str(folder), _transform()), range(count))
    loader: Any = torch.utils.data.DataLoader(files, batch_size=BATCH, shuffle=True, drop_last=True)
    return lambda: sum(len(labels) for _, labels in loader)


def webdataset_loader(place: Path) -> Callable[[], int]:
    """A pass of webdataset."""
    import webdataset

    shards = sorted(map(str, place.glob("*.tar")))
    transform = _transform()

    def pass_() -> int:
        samples = webdataset.WebDataset(shards, shardshuffle=False).shuffle(256).decode("pil").to_tuple("jpg", "cls")
        batches: Iterator[Any] = iter(samples.map_tuple(transform, int).batched(BATCH, partial=False))
        return sum(len(labels) for _, labels in batches)

    return pass_


def _transform() -> Callable[[Any], Any]:
    """Ours, with the normalisation that our stream does for a batch."""
    from torchvision.transforms import v2

    from ghn.data.image_folder import MEAN, STD

    made = make_transform(224, True)
    scaled = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(MEAN), list(STD))])
    return lambda image: scaled(made(image.convert("RGB")))


def main() -> None:
    """Measure, and write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--passes", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = ImageFolder.open(options.folder)
    count = min(options.images, len(files)) // BATCH * BATCH
    some = files.subset(torch.arange(count))
    with tempfile.TemporaryDirectory() as place:
        shards_of(some, Path(place))
        ways = {
            "ours, files": ours(some),
            "torchvision, files": torchvision_loader(options.folder, count),
            "ours, shards": ours(ImageFolder.open_shards(place)),
            "webdataset, shards": webdataset_loader(Path(place)),
        }
        best = dict.fromkeys(ways, float("inf"))
        # In turns, so that what else the machine does falls on all alike.
        for _, (name, pass_) in itertools.product(range(options.passes), ways.items()):
            began = time.perf_counter()
            seen = pass_()
            best[name] = min(best[name], (time.perf_counter() - began) / seen)
    rows = [{"way": name, "images": count, "images_a_second": 1 / seconds} for name, seconds in best.items()]
    print(save("images", rows, table=markdown(rows, {"way": "", "images": "", "images_a_second": ".1f"})))


if __name__ == "__main__":
    main()
