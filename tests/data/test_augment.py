"""Batched augmentation against one image at a time."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ghn.data import Augmentation, DataError
from ghn.data.augment import PolicyAugmentation, augmentation_named, resized


def crop_and_flip(image: Tensor, top: int, left: int, flip: bool, pad: int) -> Tensor:
    """The definition: pad with zeros, crop, mirror."""
    H, W = image.shape[-2:]
    crop = functional.pad(image, (pad,) * 4)[:, top : top + H, left : left + W]
    return crop.flip(-1) if flip else crop


@pytest.mark.parametrize("pad", [0, 1, 4])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("size", [(1, 5, 7), (6, 8, 8)])
def test_every_image_is_one_of_its_crops(pad: int, flip: bool, size: tuple[int, int, int]) -> None:
    count, height, width = size
    images = torch.randint(1, 256, (count, 3, height, width), dtype=torch.uint8)
    augmented = Augmentation(pad=pad, flip=flip)(images, torch.Generator().manual_seed(0))
    assert augmented.shape == images.shape
    assert augmented.dtype == torch.uint8
    for before, after in zip(images, augmented, strict=True):
        candidates = [
            crop_and_flip(before, top, left, mirrored, pad)
            for top in range(2 * pad + 1)
            for left in range(2 * pad + 1)
            for mirrored in ({False, True} if flip else {False})
        ]
        assert any(torch.equal(after, candidate) for candidate in candidates)


def test_all_offsets_and_both_orientations_occur() -> None:
    image = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3).expand(600, 3, 3, 3)
    augmented = Augmentation(pad=1)(image, torch.Generator().manual_seed(0))
    assert len(augmented.flatten(1).unique(dim=0)) == 9 * 2


def test_the_generator_governs_all_draws() -> None:
    images = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8)
    first, again, other = (Augmentation()(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_half_of_the_images_are_mirrored_and_all_offsets_are_equally_often() -> None:
    image = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3).expand(18_000, 3, 3, 3)
    augmented = Augmentation(pad=1)(image, torch.Generator().manual_seed(0))
    _, counts = augmented.flatten(1).unique(dim=0, return_counts=True)
    # Of 18 kinds a thousand each; five standard deviations are 154.
    assert counts.tolist() == pytest.approx([1000] * 18, abs=154)


@pytest.mark.parametrize("policy", ["crop", "randaugment", "trivialaugment"])
def test_a_part_of_a_batch_is_augmented_as_in_the_whole(policy: Any) -> None:
    pytest.importorskip("torchvision")
    images = torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8)
    augmentation = augmentation_named(policy)
    assert augmentation is not None
    drawn = augmentation.draw(9, torch.Generator().manual_seed(3))
    state = torch.get_rng_state()
    whole = augmentation(images, torch.Generator().manual_seed(3))
    assert torch.equal(augmentation.apply(images[[7, 2]], drawn[[7, 2]]), whole[[7, 2]])
    assert torch.equal(torch.get_rng_state(), state)
    assert whole.shape == images.shape
    assert whole.dtype == torch.uint8


def test_a_policy_follows_crops_with_other_operations_for_each_image() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    image = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8).expand(40, 3, 16, 16)
    augmentation = PolicyAugmentation(pad=0, flip=False, policy="trivialaugment")
    drawn = augmentation.draw(40, torch.Generator().manual_seed(0))
    augmented = augmentation.apply(image, drawn)
    assert len(augmented.flatten(1).unique(dim=0)) > 20
    for index in (0, 39):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(drawn[index, -1]))
            assert torch.equal(augmented[index], v2.TrivialAugmentWide()(image[index]))
    assert augmentation_named("none") is None


def test_a_policy_without_torchvision_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.transforms", None)
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2", None)
    with pytest.raises(DataError, match=r"randaugment needs torchvision; install it: pip install 'ghn\[vision\]'"):
        augmentation_named("randaugment")


def test_images_are_resized_to_a_side_or_to_height_and_width() -> None:
    images = torch.rand(2, 3, 8, 12)
    assert resized(images, (8, 12)) is images
    assert resized(images, 8).shape == (2, 3, 8, 8)
    wanted = functional.interpolate(images, size=(5, 7), mode="bilinear", antialias=True)
    torch.testing.assert_close(resized(images, (5, 7)), wanted)
