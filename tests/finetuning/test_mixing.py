"""Mixup and CutMix by parts of a batch are those of the whole."""

from __future__ import annotations

import pytest
import torch

from ghn.common.parallel.processes import share
from ghn.finetuning.mixing import Mix, places

pytest.importorskip("torchvision")


def a_batch(count: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 8, 8, generator=generator), torch.randint(0, 4, (count,), generator=generator)


def test_mixup_is_a_share_of_an_image_and_the_rest_of_the_one_before() -> None:
    images, labels = a_batch()
    torch.manual_seed(1)
    mixed, shares = Mix(1.0, 0.0, 4)(images, labels)
    own = shares[labels != labels.roll(1)][0].max()
    candidates = (own, 1 - own)
    found = [
        torch.allclose(mixed, lam * images + (1 - lam) * images.roll(1, 0), atol=1e-6)
        and torch.allclose(shares, lam * torch.eye(4)[labels] + (1 - lam) * torch.eye(4)[labels.roll(1)], atol=1e-6)
        for lam in candidates
    ]
    assert any(found)


def test_cutmix_shares_are_those_of_the_pixels() -> None:
    images = torch.arange(5.0)[:, None, None, None].expand(5, 3, 8, 8).contiguous()
    torch.manual_seed(2)
    mixed, shares = Mix(0.0, 1.0, 5)(images, torch.arange(5))
    for index in range(5):
        for other in range(5):
            assert shares[index, other] == pytest.approx(float((mixed[index] == other).float().mean()), abs=1e-6)


@pytest.mark.parametrize("world", [2, 3, 7])
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.3, 0.3)])
def test_processes_mix_what_one_mixes(world: int, mixup: float, cutmix: float) -> None:
    images, labels = a_batch()
    for seed in range(6):
        torch.manual_seed(seed)
        whole = Mix(mixup, cutmix, 4)(images, labels)
        parts = []
        for rank in range(world):
            chosen = torch.tensor(places(share(7, rank, world), 7, leading=True))
            torch.manual_seed(seed)
            parts.append(Mix(mixup, cutmix, 4, leading=True)(images[chosen], labels[chosen]))
        for index in range(2):
            torch.testing.assert_close(torch.cat([part[index] for part in parts]), whole[index])


def test_both_are_taken() -> None:
    images, labels = a_batch()
    mix, kinds = Mix(1.0, 1.0, 4), set()
    for seed in range(20):
        torch.manual_seed(seed)
        mixed, _ = mix(images, labels)
        # CutMix leaves every pixel one of two; mixup hardly any.
        kinds.add(bool(((mixed == images) | (mixed == images.roll(1, 0))).all()))
    assert kinds == {True, False}
