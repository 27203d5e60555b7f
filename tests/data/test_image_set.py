"""Subsets and hold-outs of an image set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ghn.data import DataError, ImageSet
from ghn.data.subsets import split_hold_out

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


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ([20, 6, 6], 9, [5, 2, 2]),
        ([90, 10], 20, [18, 2]),
        ([90, 10], 21, [19, 2]),
        ([90, 10], 98, [89, 9]),
        ([3, 1, 200], 100, [1, 0, 99]),
        ([3, 1, 200], 201, [2, 0, 199]),
        ([7], 6, [6]),
    ],
)
def test_hold_out_takes_the_same_share_of_every_class(sizes: list[int], count: int, expected: list[int]) -> None:
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    for seed in range(3):
        kept, held = split_hold_out(labels, count, seed=seed, name="toy")
        assert torch.bincount(labels[held], minlength=len(sizes)).tolist() == expected
        assert torch.bincount(labels[kept], minlength=len(sizes)).min() >= 1
        assert torch.equal(torch.cat([kept, held]).sort().values, torch.arange(len(labels)))


def held_class_by_class(labels: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """The first definition, which begun runs depend on: the classes take turns."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    shuffled = labels[order]
    ranks = torch.empty_like(shuffled)
    for label in shuffled.unique():
        mine = torch.nonzero(shuffled == label).flatten()
        ranks[mine] = torch.arange(len(mine))
    return order[torch.argsort(ranks, stable=True)[:count]].sort().values


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize(
    ("classes", "size", "count"),
    [(10, 5000, 5000), (10, 5000, 256), (10, 5000, 4999), (100, 500, 5000), (100, 500, 77), (3, 7, 18), (7, 3, 1)],
)
def test_hold_out_of_balanced_classes_stays_as_it_was(classes: int, size: int, count: int, seed: int) -> None:
    labels = torch.arange(classes).repeat(size)[torch.randperm(classes * size, generator=torch.Generator())]
    _, held = split_hold_out(labels, count, seed=seed, name="toy")
    assert torch.equal(held, held_class_by_class(labels, count, seed))


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
