"""The data set's layout, its boxes, and what is said of a damaged one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ghn.data import DataError
from ghn.finetuning.detection.penn_fudan import PERSON, PennFudan, boxes_of
from tests.finetuning.detection.drawn import draw

Image = pytest.importorskip("PIL.Image")


def test_images_come_with_the_boxes_that_were_drawn(tmp_path: Path) -> None:
    drawn = draw(tmp_path, 5)
    for root in (tmp_path, tmp_path / "PennFudanPed"):
        images = PennFudan.open(root)
        assert len(images) == 5
        for index, boxes in enumerate(drawn):
            image, target = images[index]
            assert image.shape == (3, 64, 80)
            assert 0 <= float(image.min()) < float(image.max()) <= 1
            assert target["boxes"].tolist() == [list(map(float, box)) for box in boxes]
            assert target["labels"].tolist() == [PERSON] * len(boxes)


def test_boxes_of_odd_masks() -> None:
    assert boxes_of(torch.zeros(4, 5)).shape == (0, 4)
    mask = torch.zeros(4, 5, dtype=torch.uint8)
    mask[3, 4] = 7
    mask[0, 0] = mask[2, 1] = 2
    assert boxes_of(mask).tolist() == [[0, 0, 2, 3], [4, 3, 5, 4]]


def test_what_is_missing_or_damaged_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no Penn-Fudan in .*: fetch PennFudanPed\.zip from"):
        PennFudan.open(tmp_path)
    draw(tmp_path, 3)
    masks = tmp_path / "PennFudanPed" / "PedMasks"
    (masks / "FudanPed00000_mask.png").write_bytes(b"nothing")
    Image.new("L", (3, 3)).save(masks / "FudanPed00001_mask.png")
    Image.new("RGB", (80, 64)).save(masks / "FudanPed00002_mask.png")
    images = PennFudan.open(tmp_path)
    for index, message in enumerate(["cannot be read as a mask", "another size than its image", "is no mask"]):
        with pytest.raises(DataError, match=message):
            images[index]
    (masks / "FudanPed00000_mask.png").unlink()
    with pytest.raises(DataError, match=r"FudanPed00000_mask\.png is missing"):
        PennFudan.open(tmp_path)
