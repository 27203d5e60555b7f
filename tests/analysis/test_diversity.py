"""How unlike tensors are."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.diversity import chosen_shapes, distances_between, diversity, match
from ghn.analysis.networks import Networks
from tests.analysis.networks import ATTENTION, SMALL, WIDER


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first * second).sum() / (first.norm() * second.norm()))


def test_distances_are_those_of_each_pair() -> None:
    tensors = [torch.randn(3, 2, 2, 2, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    found = distances_between([*tensors, torch.zeros(3, 2, 2, 2), -2 * tensors[0]])
    for i, j in itertools.permutations(range(4), 2):
        assert found[i, j] == pytest.approx(1 - abs(cosine(tensors[i], tensors[j])), abs=1e-6)
    assert (found.diagonal() == 0).all()
    assert found[4, :4].tolist() == [1.0] * 4
    assert found[0, 5] == pytest.approx(0, abs=1e-6)
    assert distances_between([]).shape == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_matched_outputs_are_the_best_of_all_permutations(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(4, 3, 2, 2, generator=generator) for _ in range(2))
    best = max(float((first * second[list(order)]).sum()) for order in itertools.permutations(range(4)))
    assert float((first * match(first, second)).sum()) == pytest.approx(best, rel=1e-5)


def test_a_network_with_its_channels_in_another_order_is_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(6, 5, 3, 3, generator=generator)
    # Lengths of their own, so that the outputs' order shows before the inputs' is known.
    shuffled = first[torch.randperm(6, generator=generator)]
    assert torch.equal(match(first, shuffled), first)
    assert distances_between([first, shuffled], matched=True)[0, 1] == pytest.approx(0, abs=1e-12)
    assert distances_between([first, shuffled])[0, 1] > 0.5


def test_matching_in_turn_only_helps_and_permutes() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        first, second = (torch.randn(5, 4, 2, 2, generator=generator) for _ in range(2))
        once, often = match(first, second, rounds=1), match(first, second, rounds=5)
        assert (first * second).sum() <= (first * once).sum() <= (first * often).sum() + 1e-6
        assert torch.equal(often.flatten().sort().values, second.flatten().sort().values)


def test_inputs_of_images_stay() -> None:
    first = torch.randn(2, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    swapped = first[:, [1, 0, 2]]
    assert not torch.equal(match(first, swapped), first)


def networks(**settings: object) -> Networks:
    given = {"models": (SMALL, WIDER, ATTENTION), "data": "noise", "image_size": 12, "num_classes": 3, "images": 2,
             **settings}  # fmt: skip
    return Networks(AnalysisConfig(**given))  # type: ignore[arg-type]


def test_of_networks_that_share_a_shape(tmp_path: Path) -> None:
    chosen = networks(starts=("default", "orthogonal"))
    rows = diversity(chosen, ["4x3x3x3", "6x4x3x3"], matched=["orthogonal"], folder=tmp_path)
    by = {(row.shape, row.start): row for row in rows}
    first = by["4x3x3x3", "default"]
    assert (first.tensors, first.networks, first.matched) == (2, 2, False)
    tensors = [
        next(p for p in chosen.started(candidate, "default").parameters() if p.shape == (4, 3, 3, 3)).detach()
        for candidate in chosen.candidates[:2]
    ]
    assert first.mean == pytest.approx(1 - abs(cosine(*tensors)), abs=1e-6)
    assert first.whole == pytest.approx(first.mean / 2)
    assert by["4x3x3x3", "orthogonal"].matched
    alone = by["6x4x3x3", "default"]
    assert alone.tensors == 1
    assert math.isnan(alone.mean)
    assert alone.to_dict()["mean"] is None
    assert diversity(chosen, ["4x3x3x3", "6x4x3x3"], matched=["orthogonal"], folder=tmp_path)[0] == first


def test_a_number_means_the_most_frequent_shape_of_so_many_outputs() -> None:
    assert chosen_shapes(networks(), ["4", "6"]) == {"4": (4, 3, 3, 3), "6": (6, 4, 3, 3)}
    with pytest.raises(ValueError, match="no network has a weight of shape 1024; the most frequent are"):
        chosen_shapes(networks(), ["1024"])
    with pytest.raises(ValueError, match="'3by3' is no shape: write 256x256x3x3"):
        chosen_shapes(networks(), ["3by3"])


def test_networks_that_all_fail_are_told(tmp_path: Path) -> None:
    chosen = networks(models=(SMALL,), starts=("trained",), trained=str(tmp_path))
    with pytest.raises(ValueError, match="no network could be looked at"):
        diversity(chosen, ["4x3x3x3"])


def test_without_shapes_those_that_there_are_are_taken() -> None:
    chosen = chosen_shapes(networks())
    assert len(chosen) == 3
    assert (4, 3, 3, 3) in chosen.values()
    assert all(len(shape) > 1 for shape in chosen.values())
    rows = diversity(networks(), None)
    assert {row.shape for row in rows} == set(chosen)
    with pytest.raises(ValueError, match=r"no network has a weight of shape 7x7x7x7; the most frequent are .*4x3x3x3"):
        chosen_shapes(networks(), ["4x3x3x3", "7x7x7x7"])


def test_of_many_tensors_some_are_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.analysis.diversity.MOST_MATCHED", 1)
    (row,) = diversity(networks(starts=("default",)), ["4x3x3x3"], matched=["default"])
    assert row.tensors == 1
