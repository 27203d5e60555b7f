"""Subsets and hold-outs of an image set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ghn.data import DataError, ImageSet

MakeSet = Callable[..., ImageSet]


def identities(images: ImageSet) -> list[int]:
    return images.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
def test_hold_out_splits_without_loss_or_overlap(make_set: MakeSet, count: int) -> None:
    whole = make_set([0, 1, 2] * 4)
    train, held = whole.hold_out(count, seed=3)
    assert len(held) == count
    assert sorted(identities(train) + identities(held)) == list(range(12))
    assert identities(train) == sorted(identities(train))


@pytest.mark.parametrize("count", [-1, 10, 12, 13])
def test_hold_out_of_a_whole_class_is_refused(make_set: MakeSet, count: int) -> None:
    message = r"cannot be held out of toy; ask for 0\.\.9, so that every class keeps one to train on"
    with pytest.raises(DataError, match=message):
        make_set([0, 1, 2] * 4).hold_out(count)


def test_few_shot_is_balanced_even_where_a_class_is_rare(make_set: MakeSet) -> None:
    few = make_set([0] * 10 + [1] * 10 + [2] * 1).few_shot(9, seed=1)
    assert torch.bincount(few.labels).tolist() == [4, 4, 1]


def test_few_shot_follows_its_seed(make_set: MakeSet) -> None:
    whole = make_set([0, 1, 2] * 10)
    assert identities(whole.few_shot(6, seed=1)) == identities(whole.few_shot(6, seed=1))
    assert identities(whole.few_shot(6, seed=1)) != identities(whole.few_shot(6, seed=2))


def test_few_shot_of_more_than_there_is_is_refused(make_set: MakeSet) -> None:
    with pytest.raises(DataError, match=r"toy has 3; ask for 1\.\.3"):
        make_set([0, 1, 2]).few_shot(4)


def test_labels_without_class_are_refused(make_set: MakeSet) -> None:
    with pytest.raises(DataError, match="damaged"):
        make_set([0, 3])
