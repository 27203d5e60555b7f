"""Batches by number: complete epochs, resumable at any position."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ghn.data import Augmentation, DataError, ImageSet, ImageStream

MakeSet = Callable[..., ImageSet]


def test_an_epoch_holds_every_image_once(make_set: MakeSet) -> None:
    stream = ImageStream(make_set([0, 1, 2] * 4), batch_size=4)
    values = torch.cat([images[:, 0, 0, 0] for images, _ in stream.epoch()])
    assert (values * 0.25 * 255 + 0.5 * 255).round().sort().values.tolist() == list(range(12))


def test_labels_belong_to_their_images(make_set: MakeSet) -> None:
    labels = [int(label) for label in torch.randint(0, 3, (30,))]
    stream = ImageStream(make_set(labels), batch_size=7, augmentation=Augmentation(pad=0))
    for images, batch_labels in stream.epoch(2):
        identities = (images[:, 0, 0, 0] * 0.25 * 255 + 0.5 * 255).round().long()
        assert [labels[index] for index in identities.tolist()] == batch_labels.tolist()


def test_a_batch_depends_on_seed_and_number_only(make_set: MakeSet) -> None:
    images = make_set([0, 1, 2] * 5)
    stream = ImageStream(images, batch_size=4, seed=5, augmentation=Augmentation())
    in_order = [stream.batch(index) for index in range(9)]
    other = ImageStream(images, batch_size=4, seed=5, augmentation=Augmentation())
    for index in (8, 0, 4, 3):
        for mine, theirs in zip(in_order[index], other.batch(index), strict=True):
            assert torch.equal(mine, theirs)
    reseeded = ImageStream(images, batch_size=4, seed=6).batch(0)[1]
    assert not all(torch.equal(in_order[index][1], reseeded) for index in range(3))
    assert not torch.equal(torch.cat([y for _, y in in_order[:3]]), torch.cat([y for _, y in in_order[3:6]]))


def test_images_that_must_not_be_mirrored_are_not(make_set: MakeSet) -> None:
    gradient = torch.arange(4, dtype=torch.uint8).expand(1, 3, 4, 4).contiguous()
    digits = replace(make_set([0]), images=gradient, flip=False)
    stream = ImageStream(digits, batch_size=1, augmentation=Augmentation(pad=0))
    first = stream.batch(0)[0]
    assert all(torch.equal(stream.batch(index)[0], first) for index in range(20))


@pytest.mark.parametrize("size", [0, 4])
def test_a_batch_size_that_cannot_be_is_refused(make_set: MakeSet, size: int) -> None:
    with pytest.raises(DataError, match=r"take a batch size of 1\.\.3"):
        ImageStream(make_set([0, 1, 2]), batch_size=size)


def test_batches_of_an_epoch_are_augmented_differently(make_set: MakeSet) -> None:
    gradient = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(48, 3, 8, 8).contiguous()
    alike = replace(make_set([0] * 48), images=gradient)
    stream = ImageStream(alike, batch_size=16, augmentation=Augmentation(pad=2))
    batches = [stream.batch(index)[0] for index in range(2 * stream.batches_per_epoch)]
    assert stream.batches_per_epoch == 3
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(batches, 2))


def test_a_part_is_that_of_the_batch(make_set: MakeSet) -> None:
    images = make_set([0, 1, 2] * 5)
    whole = ImageStream(images, batch_size=6, seed=5, augmentation=Augmentation())
    part = ImageStream(images, batch_size=6, seed=5, augmentation=Augmentation(), part=[5, 0, 1])
    for index in (0, 3):
        for mine, theirs in zip(part.batch(index), whole.batch(index), strict=True):
            assert torch.equal(mine, theirs[[5, 0, 1]])


def test_images_of_another_size_are_those_of_their_own_resized(make_set: MakeSet) -> None:
    images = make_set([0, 1, 2] * 5)
    own, larger = ImageStream(images, batch_size=6), ImageStream(images, batch_size=6, image_size=8)
    expected = functional.interpolate(own.batch(1)[0], (8, 8), mode="bilinear", antialias=True)
    assert torch.equal(larger.batch(1)[0], expected)
    assert ImageStream(images, batch_size=6, image_size=4).batch(1)[0].shape == (6, 3, 4, 4)
