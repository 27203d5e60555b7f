"""Products of slices against the whole products; what is decoded together."""

import pytest
import torch
from torch import Tensor

from ghn.hypernet.sliced_linear import (
    Channels,
    Crop,
    Windows,
    bundled_linear,
    bundles,
    channel_linear,
    window_linear,
)
from tests.hypernet.recorder import largest_allocation

WINDOWS = [
    (slice(0, 5), slice(0, 5)),
    (slice(2, 3), slice(4, 5)),
    (slice(1, 2), slice(0, 4)),
    (slice(0, 3), slice(2, 4)),
]
CROPS = [
    Crop(out=1, inputs=1, height=1, width=1),
    Crop(out=6, inputs=4, height=2, width=3),
    Crop(out=2, inputs=4, height=1, width=1),
    Crop(out=6, inputs=1, height=3, width=1),
]
COUNTS = [1, 2, 3, 1]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def whole_window(weight_FSSD: Tensor, bias_FSS: Tensor, window: tuple[slice, slice], x_nD: Tensor) -> Tensor:
    """All positions, then the window's."""
    all_nFSS = torch.einsum("fabd,nd->nfab", weight_FSSD, x_nD) + bias_FSS
    return all_nFSS[:, :, window[0], window[1]].permute(2, 3, 0, 1).flatten(0, 1)


def whole_channels(weight_OIK: Tensor, bias_OI: Tensor, crop: Crop, scale_n: Tensor, x_AnK: Tensor) -> Tensor:
    """All channels, then the crop's."""
    all_nOIA = torch.einsum("oik,ank->noia", weight_OIK, x_AnK) + bias_OI[..., None]
    return all_nOIA[:, : crop.out, : crop.inputs] * scale_n[:, None, None, None]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("window", WINDOWS)
def test_windows(window: tuple[slice, slice], count: int) -> None:
    weight_FSSD, bias_FSS, x_nD = random(8, 5, 5, 2), random(8, 5, 5, seed=1), random(count, 2, seed=2)
    with torch.no_grad():
        found = window_linear(weight_FSSD, bias_FSS, window, x_nD)
        torch.testing.assert_close(found, whole_window(weight_FSSD, bias_FSS, window, x_nD))


def groups() -> tuple[list[Tensor], list[Tensor]]:
    scales_n = [random(count, seed=count + 10) for count in COUNTS]
    return scales_n, [random(crop.area, count, 5, seed=crop.area) for crop, count in zip(CROPS, COUNTS, strict=True)]


@pytest.mark.parametrize("channels", [(6, 4), (6, 9), (7, 7)], ids=["fewer inputs", "fewer outputs", "square"])
@pytest.mark.parametrize("chosen", [[0], [1], [3], [0, 1], [1, 2, 3], [3, 0]])
def test_channels(chosen: list[int], channels: tuple[int, int]) -> None:
    weight_OIK, bias_OI = random(*channels, 5), random(*channels, seed=1)
    scales_n, xs_AnK = groups()
    picked = (
        [CROPS[index] for index in chosen],
        [scales_n[index] for index in chosen],
        [xs_AnK[index] for index in chosen],
    )
    with torch.no_grad():
        found = channel_linear(weight_OIK, bias_OI, *picked)
        for core_noiA, group in zip(found, zip(*picked, strict=True), strict=True):
            torch.testing.assert_close(core_noiA, whole_channels(weight_OIK, bias_OI, *group))
            assert core_noiA.is_contiguous()


@torch.no_grad()
def test_bundles_do_not_matter() -> None:
    weight_OIK, bias_OI = random(6, 4, 5), random(6, 4, seed=1)
    scales_n, xs_AnK = groups()
    for chosen in ([[0], [1], [2], [3]], [[3, 1], [0, 2]], [[2, 0, 3, 1]]):
        found = bundled_linear(weight_OIK, bias_OI, CROPS, chosen, scales_n, xs_AnK)
        for core_noiA, crop, scale_n, x_AnK in zip(found, CROPS, scales_n, xs_AnK, strict=True):
            torch.testing.assert_close(core_noiA, whole_channels(weight_OIK, bias_OI, crop, scale_n, x_AnK))


def test_gradients_of_windows() -> None:
    """Of overlapping windows, in both of which a position counts."""
    leaves = random(8, 5, 5, 2), random(8, 5, 5, seed=1), *(random(count, 2, seed=count) for count in (1, 2, 3, 4))

    def windows(weight_FSSD: Tensor, bias_FSS: Tensor, *xs_nD: Tensor) -> tuple[Tensor, ...]:
        return Windows.apply(weight_FSSD, bias_FSS, WINDOWS, *xs_nD)

    assert torch.autograd.gradcheck(windows, leaves)


def test_gradients_of_channels() -> None:
    scales_n, xs_AnK = groups()
    leaves = random(6, 4, 5), random(6, 4, seed=1), *xs_AnK

    def channels(weight_OIK: Tensor, bias_OI: Tensor, *xs_AnK: Tensor) -> tuple[Tensor, ...]:
        scales = [scale_n.detach() for scale_n in scales_n]
        return Channels.apply(weight_OIK, bias_OI, CROPS, [[3, 1], [0, 2]], *scales, *xs_AnK)

    assert torch.autograd.gradcheck(channels, leaves)


@torch.no_grad()
def test_weights_are_not_copied() -> None:
    weight_FSSD, bias_FSS, x_nD = random(64, 5, 5, 16), random(64, 5, 5), random(1, 16)
    window = (slice(1, 4), slice(1, 4))
    assert largest_allocation(lambda: window_linear(weight_FSSD, bias_FSS, window, x_nD)) <= 64 * 9
    for channels in ((40, 20), (20, 40)):
        weight_OIK, bias_OI, x_AnK = random(*channels, 64), random(*channels), random(1, 2, 64)
        crop = Crop(out=15, inputs=15, height=1, width=1)
        largest = largest_allocation(
            lambda w=weight_OIK, b=bias_OI, x=x_AnK, c=crop: channel_linear(w, b, [c], [torch.ones(2)], [x])  # type: ignore[misc]
        )
        assert largest <= 15 * 15 * 2


@pytest.mark.parametrize(
    ("crops", "counts", "expected"),
    [
        ([], [], []),
        ([Crop(out=8, inputs=8, height=1, width=1)], [3], [[0]]),
        # Few positions: the weight is read once for both.
        ([Crop(out=8, inputs=8, height=1, width=1), Crop(out=8, inputs=6, height=1, width=1)], [1, 1], [[0, 1]]),
        # Many positions of a small crop are not worth the channels of the large one.
        ([Crop(out=8, inputs=8, height=1, width=1), Crop(out=8, inputs=1, height=5, width=5)], [1, 99], [[0], [1]]),
    ],
)
def test_groups_are_bundled_where_it_pays(crops: list[Crop], counts: list[int], expected: list[list[int]]) -> None:
    assert bundles(crops, counts) == expected


def test_bundles_have_a_limit() -> None:
    crops = [Crop(out=8, inputs=8, height=1, width=1), Crop(out=8, inputs=7, height=1, width=1)]
    assert bundles(crops, [1, 1], limit=127) == [[0], [1]]
    assert bundles(crops, [1, 1], limit=128) == [[0, 1]]


def test_every_group_is_in_one_bundle() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(1, 40, (50, 3), generator=generator).tolist()
    crops = [Crop(out=out, inputs=inputs, height=1, width=1) for out, inputs, _ in sizes]
    found = bundles(crops, [count for *_, count in sizes])
    assert sorted(index for members in found for index in members) == list(range(50))
    assert len(found) < 50
