"""ImageNet and any other folder of images of various sizes: decoded and augmented as they are needed.

Source: the augmentation is that of DARTS (Liu et al., ICLR 2019) for ImageNet, which GHN-2 and GHN-3 train with.
"""

from __future__ import annotations

import copy
import itertools
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ghn.common.parallel.processes import interrupts_held, start_worker
from ghn.data import subsets
from ghn.data.augment import Policy, policy_transform
from ghn.data.decode import read_image
from ghn.data.errors import DataError
from ghn.data.folder import cache_folder, list_images
from ghn.data.shards.index import expand, list_shards
from ghn.data.shards.member import Member

if TYPE_CHECKING:
    from PIL.Image import Image

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Statistics of ImageNet's training images."""

NARROWEST = 50
"""Long side over short side of an image: its short side is enlarged to that of the square, the long one with it."""

_Decoded = tuple[Tensor, Tensor, tuple[str, ...]] | DataError
"""A batch of uint8 images, their labels and why others were passed over, or why there is none: what a worker raises
arrives as a traceback."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFolder:
    """Labelled image files.

    Attributes:
        name: Name of the data set.
        files: The N files, or files in shards.
        labels: (N,) int64, indices into `classes`.
        classes: Names of the classes.
        image_size: Side in pixels of the images that are made of them.
    """

    name: str
    files: tuple[Path | Member, ...]
    labels: Tensor
    classes: tuple[str, ...]
    image_size: int = 224

    @classmethod
    def open(
        cls, root: str | os.PathLike[str], split: str | None = None, *, name: str = "folder", image_size: int = 224
    ) -> ImageFolder:
        """List the images of `root/<split>/<class>/`.

        Args:
            root: Folder of the data set.
            split: Its subfolder ("test" also finds "val"); None for `root` itself.
            name: Name of the data set.
            image_size: Side in pixels of the images that are made of them.

        Raises:
            DataError: When there are no images; the message says where to put them.
        """
        base = Path(root).expanduser()
        folder = base / split if split else base
        if split == "test" and not folder.is_dir() and (base / "val").is_dir():
            folder = base / "val"
        if not folder.is_dir():
            hint = "fetch ILSVRC2012 from https://image-net.org and put it" if name == "imagenet" else "put images"
            raise DataError(f"no {name} in {base}: {hint} there as {split or '.'}/<class>/*.jpg")
        files, classes = list_images(folder, empty=split == "test")
        labels = torch.tensor([label for _, label in files], dtype=torch.int64)
        return cls(
            name=name, files=tuple(file for file, _ in files), labels=labels, classes=classes, image_size=image_size
        )

    @classmethod
    def open_shards(
        cls, pattern: str, *, classes: tuple[str, ...] | None = None, name: str = "shards", image_size: int = 224
    ) -> ImageFolder:
        """List the images of tar files as `webdataset` writes them: `NAME.jpg` and `NAME.cls`, the number of its class.

        Args:
            pattern: A folder of `*.tar`, a tar file, or several: `/data/train-{000..146}.tar`, also at an address of
                fsspec (`s3://…`).
            classes: Their names, by number; by default the numbers.
            name: Name of the data set.
            image_size: Side in pixels of the images that are made of them.

        Raises:
            DataError: When shards are missing, compressed or damaged, or images lack a class.
        """
        files, labels = list_shards(expand(pattern), cache_folder())
        count = int(labels.max()) + 1
        if classes is not None and count > len(classes):
            raise DataError(f"{pattern} has images of class {count - 1}; there are {len(classes)} classes")
        names = tuple(map(str, range(count))) if classes is None else classes
        return cls(name=name, files=files, labels=labels, classes=names, image_size=image_size)

    def __len__(self) -> int:
        return len(self.files)

    def subset(self, indices: Tensor) -> ImageFolder:
        """The images of the given indices, in their order."""
        return replace(self, files=tuple(self.files[index] for index in indices.tolist()), labels=self.labels[indices])

    def hold_out(self, count: int, *, seed: int = 0) -> tuple[ImageFolder, ImageFolder]:
        """As `ImageSet.hold_out`."""
        kept, held = subsets.split_hold_out(self.labels, count, seed=seed, name=self.name)
        return self.subset(kept), self.subset(held)

    def few_shot(self, count: int, *, seed: int = 0) -> ImageFolder:
        """As `ImageSet.few_shot`."""
        return self.subset(subsets.few_shot(self.labels, count, seed=seed, name=self.name))


class ImageFolderStream(Dataset[_Decoded]):
    """The counterpart of `ImageStream`: batch number i is a function of (seed, i); batches are made ahead by workers.

    Args:
        images: The files.
        batch_size: Images in a batch.
        seed: Governs order and augmentation.
        augment: Random resized crops, mirroring and colour jitter (`crop`, or True), or with a policy of torchvision
            instead of the jitter; otherwise (`none`, or False) the centre of the image, 8/7 enlarged.
        workers: Processes that decode; 0 decodes in this one.
        device: Where batches are put.
        every: With `taken`: of so many consecutive batches
        taken: only these will be asked for (all, by default), in this order: what workers make ahead. Where the
            networks of a step see images of their own, each rank takes a share of the step's batches.
        part: Places in each batch of the images that are decoded and given, e.g. one process's share. What is drawn for
            an image then depends on its place in the batch, not on which others are given. None for all, whose draws
            follow one another.
        skip: Damaged images that are passed over; each is named by a warning, and the next readable one in the epoch's
            order takes its place. One more is an error; with 0 the first.

    Attributes:
        damaged: What was said of each image that was passed over, as often as its batch was asked for once.
    """

    def __init__(
        self,
        images: ImageFolder,
        *,
        batch_size: int,
        seed: int = 0,
        augment: bool | Policy = False,
        workers: int = 0,
        device: torch.device | str = "cpu",
        every: int = 1,
        taken: range = range(1),
        part: Sequence[int] | None = None,
        skip: int = 0,
    ) -> None:
        if not 1 <= batch_size <= len(images):
            raise DataError(
                f"batches of {batch_size} cannot be cut from the {len(images)} images of {images.name}; "
                f"take a batch size of 1..{len(images)}"
            )
        self.images, self.batch_size, self.seed, self.workers = images, batch_size, seed, workers
        self.device = torch.device(device)
        self.transform = make_transform(images.image_size, augment)
        self.part = None if part is None else tuple(part)
        self.every, self.taken = every, taken
        self.skip = skip
        self.damaged: dict[str, None] = {}
        self._drawn: tuple[int, Tensor] | None = None
        self._ahead: Iterator[_Decoded] = iter(())
        self._expected: Iterator[int] = iter(())

    @property
    def batches_per_epoch(self) -> int:
        """Complete batches in one pass over the images."""
        return len(self.images) // self.batch_size

    @property
    def images_per_epoch(self) -> int:
        """All images, those of an incomplete last batch (`rest`) included."""
        return len(self.images)

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Batch number `index`: normalised images (batch_size, 3, H, W) float32 and labels (batch_size,) int64.

        Asking for consecutive numbers (of those taken) lets workers decode ahead; any other number starts them anew.

        Raises:
            DataError: When an image cannot be read.
        """
        if index != next(self._expected, None):
            self._ahead = self._start(index)
            self._expected = _order(index, self.every, self.taken)
            next(self._expected)
        return self._normalised(next(self._ahead))

    def rest(self) -> tuple[Tensor, Tensor]:
        """As `ImageStream.rest`; decoded here, not by workers."""
        epoch_end = self.batches_per_epoch * self.batch_size
        return self._normalised(self._decode(0, slice(epoch_end, None), self.batches_per_epoch))

    def _normalised(self, decoded: _Decoded) -> tuple[Tensor, Tensor]:
        if isinstance(decoded, DataError):
            raise decoded
        pixels, labels, passed_over = decoded
        self._note(passed_over)
        scale = torch.tensor(STD, device=self.device).reshape(1, 3, 1, 1) * 255
        shift = torch.tensor(MEAN, device=self.device).reshape(1, 3, 1, 1) * 255
        images = (pixels.to(self.device, non_blocking=True).float() - shift) / scale
        return images, labels.to(self.device, non_blocking=True)

    def _note(self, passed_over: Sequence[str]) -> None:
        """Warn of damaged images, each once; too many are an error."""
        for text in passed_over:
            if text in self.damaged:
                continue
            self.damaged[text] = None
            if len(self.damaged) > self.skip:
                raise DataError(f"{len(self.damaged)} images are damaged, at most {self.skip} are passed over; {text}")
            warnings.warn(f"passed over, {len(self.damaged)} of at most {self.skip}: {text}", stacklevel=3)

    def epoch(self, number: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """All complete batches of one epoch."""
        start = number * self.batches_per_epoch
        return (self.batch(start + position) for position in range(self.batches_per_epoch))

    def _start(self, index: int) -> Iterator[_Decoded]:
        # Nothing that the stream holds may hold the stream. It would end by garbage collection, which closes the queues
        # before the workers are told, and each of them would be waited for for five seconds.
        loader = DataLoader(
            copy.copy(self),
            sampler=_order(index, self.every, self.taken),
            batch_size=None,
            num_workers=self.workers,
            worker_init_fn=start_worker,
            # One of its own: the loader would draw from the process's generator.
            generator=torch.Generator(),
            pin_memory=self.device.type == "cuda",
        )
        with interrupts_held():
            return iter(loader)

    def __getstate__(self) -> dict[str, Any]:
        """What a worker gets: not the batches on their way."""
        return vars(self) | {"_ahead": iter(()), "_expected": iter(()), "_drawn": None}

    def __getitem__(self, index: int) -> _Decoded:
        """Batch `index` before normalisation."""
        epoch, position = divmod(index, self.batches_per_epoch)
        return self._decode(epoch, slice(position * self.batch_size, (position + 1) * self.batch_size), index)

    def _decode(self, epoch: int, positions: slice, index: int) -> _Decoded:
        """The images at some positions of an epoch's order, augmented as those of batch `index`."""
        order = self._permutation(epoch)
        places = range(*positions.indices(len(order)))
        passed_over: list[str] = []
        seed = (self.seed << 32) + index
        with torch.random.fork_rng(devices=[]):
            # The transforms draw from the process's generator.
            torch.manual_seed(seed)
            try:
                if self.part is None:
                    given = [self._given(order, place, None, passed_over) for place in places]
                else:
                    seeds = torch.randint(2**62, (len(places),)).tolist()
                    given = [self._given(order, places[part], seeds[part], passed_over) for part in self.part]
            except DataError as error:
                return error
        chosen = [item for item, _ in given]
        return torch.stack([pixels for _, pixels in given]), self.images.labels[chosen], tuple(passed_over)

    def _permutation(self, epoch: int) -> Tensor:
        """An epoch's order; that of ImageNet takes longer to draw than an image to decode."""
        if self._drawn is None or self._drawn[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._drawn = epoch, torch.randperm(len(self.images), generator=generator)
        return self._drawn[1]

    def _given(self, order: Tensor, place: int, seed: int | None, passed_over: list[str]) -> tuple[int, Tensor]:
        """The image at a place of an epoch's order, or the next one that is not damaged."""
        for further in range(self.skip + 1):
            item = int(order[(place + further) % len(order)])
            try:
                return item, self._pixels(item, seed)
            except DataError as error:
                if further == self.skip:
                    raise
                passed_over.append(str(error))
        raise AssertionError("the last one was given or raised")

    def _pixels(self, item: int, seed: int | None = None) -> Tensor:
        """An image, augmented by what follows a seed."""
        image = _of_sound_shape(self.images.files[item])
        if seed is not None:
            torch.manual_seed(seed)
        pixels: Tensor = self.transform(image)
        return pixels


def _of_sound_shape(file: Path | Member) -> Image:
    """A decoded image that is not so narrow that its enlargement to the side asked for would take gigabytes."""
    image = read_image(file)
    columns, rows = image.size
    if max(columns, rows) > NARROWEST * min(columns, rows):
        raise DataError(f"{file} is {columns:,}×{rows:,} pixels, too narrow for a square to be cut from it; remove it")
    return image


def make_transform(image_size: int, augment: bool | Policy) -> Any:
    """From a PIL image to a uint8 tensor (3, image_size, image_size).

    Raises:
        DataError: Where torchvision is not installed.
    """
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise DataError("folders of images need torchvision; install it: pip install 'ghn[vision]'") from error
    steps: list[Any]
    if augment in ("randaugment", "trivialaugment"):
        policy = policy_transform(augment)
        steps = [v2.RandomResizedCrop(image_size, antialias=True), v2.RandomHorizontalFlip(), policy]
    elif augment in (True, "crop"):
        steps = [
            v2.RandomResizedCrop(image_size, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2),
        ]
    else:
        steps = [v2.Resize(image_size * 8 // 7, antialias=True), v2.CenterCrop(image_size)]
    return v2.Compose([*steps, v2.PILToTensor()])


def _order(start: int, every: int, taken: range) -> Iterator[int]:
    """The batches that are likely to be asked for, from `start` on."""
    yield start
    for block in itertools.count(start // every):
        yield from (index for slot in taken if (index := block * every + slot) > start)
