"""Draws that mind the classes."""

from __future__ import annotations

import pytest
import torch

from ghn.data import DataError
from ghn.data.subsets import few_shot, split_hold_out


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


def test_hold_out_follows_its_seed_and_not_the_random_state() -> None:
    labels = torch.arange(3).repeat(20)
    torch.manual_seed(0)
    first = split_hold_out(labels, 9, seed=1, name="toy")[1]
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(split_hold_out(labels, 9, seed=1, name="toy")[1], first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(split_hold_out(labels, 9, seed=2, name="toy")[1], first)


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [([5, 5, 5], 7, None), ([9, 1, 0, 4], 6, [3, 1, 0, 2]), ([9, 1, 0, 4], 14, [9, 1, 0, 4]), ([0, 3], 1, [0, 1])],
)
def test_few_shot_is_as_even_as_it_can_be(sizes: list[int], count: int, expected: list[int] | None) -> None:
    """Also where a class is rare, or has no image at all."""
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)]).long()
    counts = set()
    for seed in range(4):
        chosen = few_shot(labels, count, seed=seed, name="toy")
        assert torch.equal(chosen, chosen.unique())
        found = torch.bincount(labels[chosen], minlength=len(sizes)).tolist()
        counts.add(tuple(found))
        if expected is None:
            assert sorted(found) == [2, 2, 3]
        else:
            assert sum(found) == count
            assert max(abs(mine - wanted) for mine, wanted in zip(found, expected, strict=True)) <= 1
    assert expected != sizes or counts == {tuple(sizes)}


@pytest.mark.parametrize("count", [-1, 0, 4])
def test_impossible_few_shots(count: int) -> None:
    with pytest.raises(DataError, match=rf"{count} images were asked for, toy has 3; ask for 1\.\.3"):
        few_shot(torch.tensor([0, 1, 2]), count, seed=0, name="toy")
