"""Penn-Fudan: 170 images of pedestrians, in the layout of its archive.

Source: Wang et al., ACCV 2007; https://www.cis.upenn.edu/~jshi/ped_html/. `PNGImages/NAME.png` is an image,
`PedMasks/NAME_mask.png` has 0 for the background and k for the k-th pedestrian.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import read_bytes
from ghn.data.decode import MOST_BYTES, read_image
from ghn.data.errors import DataError
from ghn.data.load import data_root
from ghn.data.screen import screened

NAME = "PennFudanPed"

PERSON = 1
"""The class; 0 is the background."""

Target = dict[str, Tensor]
"""`boxes` (N, 4) float32 in pixels as x1, y1, x2, y2, and `labels` (N,) int64."""


@dataclass(frozen=True, kw_only=True)
class PennFudan:
    """The images with their boxes, in the order of their names.

    Attributes:
        images: Files of images.
        masks: Files of masks, as many.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]

    @classmethod
    def open(cls, root: str | Path | None = None) -> PennFudan:
        """List the data set.

        Args:
            root: Folder that holds `PennFudanPed/`, or what this holds; None for where data sets are.

        Raises:
            DataError: When it is missing, or an image has no mask.
        """
        base = data_root(root)
        folder = base / NAME if (base / NAME).is_dir() else base
        images = tuple(sorted((folder / "PNGImages").glob("*.png")))
        if not images:
            raise DataError(
                f"no Penn-Fudan in {base}: fetch PennFudanPed.zip from https://www.cis.upenn.edu/~jshi/ped_html/ and "
                "unpack it there"
            )
        masks = tuple(folder / "PedMasks" / f"{image.stem}_mask.png" for image in images)
        lost = next((mask for mask in masks if not mask.is_file()), None)
        if lost is not None:
            raise DataError(f"{lost} is missing; unpack PennFudanPed.zip again")
        return cls(images=images, masks=masks)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        """An image (3, H, W) float32 in 0..1, and its boxes.

        Raises:
            DataError: When a file is damaged, or image and mask differ in size.
        """
        pixels = torch.from_numpy(np.asarray(read_image(self.images[index])).copy()).permute(2, 0, 1)
        mask = _read_mask(self.masks[index])
        if mask.shape != pixels.shape[1:]:
            raise DataError(f"{self.masks[index]} has another size than its image; unpack PennFudanPed.zip again")
        boxes = boxes_of(mask)
        return pixels.float() / 255, {"boxes": boxes, "labels": torch.full((len(boxes),), PERSON, dtype=torch.int64)}


def boxes_of(mask: Tensor) -> Tensor:
    """The boxes (N, 4) around the objects of a mask (H, W): from the first of their pixels to behind the last.

    Args:
        mask: 0 for the background, another number for each object.
    """
    found = []
    for number in torch.unique(mask).tolist():
        if number:
            rows, columns = torch.nonzero(mask == number, as_tuple=True)
            found.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return torch.tensor(found, dtype=torch.float32).reshape(-1, 4)


def _read_mask(file: Path) -> Tensor:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(screened(read_bytes(file, MOST_BYTES))), formats=("PNG",)) as opened:
            if opened.mode not in ("L", "P"):
                raise DataError(f"{file} is no mask: a pixel is not the number of an object")
            return torch.from_numpy(np.asarray(opened).copy())
    except (FormatError, UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file} cannot be read as a mask ({error}); unpack PennFudanPed.zip again") from error
