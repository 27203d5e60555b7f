"""Tensors of one shape out of tensors of another, against the definitions."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ghn.initializers.transfer.fit import (
    even_indices,
    fit_kernel,
    fit_offsets,
    fit_positions,
    fit_vector,
    fit_weight,
    select,
)


def published(teacher: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Uniform element selection, as Xu et al. define it for axes that are at least as large."""
    for axis, m in enumerate(shape):
        n = teacher.shape[axis]
        positions = [k * (n // m) for k in range(m)] if n % m == 0 else torch.linspace(0, n - 1, m).round().tolist()
        teacher = torch.stack([teacher.select(axis, int(position)) for position in positions], axis)
    return teacher


@pytest.mark.parametrize("shape", [(8, 6, 3, 3), (4, 3, 3, 3), (5, 4, 3, 3), (1, 1, 3, 3), (7, 6, 3, 3)])
def test_smaller_ones_are_selected_as_published(shape: tuple[int, ...]) -> None:
    weight = torch.randn(8, 6, 3, 3)
    assert torch.equal(fit_weight(weight, 0, shape, 0, depthwise=False), published(weight, shape))
    assert torch.equal(select(weight, shape), published(weight, shape))


@pytest.mark.parametrize(("n", "m"), itertools.product((1, 2, 3, 5, 8), (1, 2, 3, 7, 8, 11)))
def test_indices_are_even(n: int, m: int) -> None:
    chosen = even_indices(n, m).tolist()
    assert chosen == sorted(chosen)
    assert len(chosen) == m
    assert set(chosen) <= set(range(n))
    if m >= n:
        counts = [chosen.count(index) for index in range(n)]
        assert set(counts) <= {m // n, -(-m // n)}


@pytest.mark.parametrize(("narrow", "wide"), [(3, 6), (3, 7), (4, 5)])
def test_repeated_channels_compute_the_same(narrow: int, wide: int) -> None:
    first, second, x = torch.randn(narrow, 5), torch.randn(4, narrow), torch.randn(2, 5)
    wider = fit_weight(first, 0, (wide, 5), 0, depthwise=False), fit_weight(second, 0, (4, wide), 0, depthwise=False)
    torch.testing.assert_close(
        F.linear(F.linear(x, wider[0]).relu(), wider[1]), F.linear(F.linear(x, first).relu(), second)
    )


@pytest.mark.parametrize(("n", "m"), [(3, 7), (1, 3), (5, 5)])
def test_a_kernel_surrounded_by_zeros_computes_the_same(n: int, m: int) -> None:
    weight, x = torch.randn(4, 3, n, n), torch.randn(2, 3, 9, 9)
    larger = fit_kernel(weight, 2, (m, m))
    torch.testing.assert_close(F.conv2d(x, larger, padding=m // 2), F.conv2d(x, weight, padding=n // 2))
    assert torch.equal(fit_kernel(larger, 2, (n, n)), weight)


def test_kernels_of_other_axes() -> None:
    linear = torch.randn(4, 3)
    assert torch.equal(fit_kernel(linear, 2, (1, 1))[..., 0, 0], linear)
    assert torch.equal(fit_kernel(linear, 2, (3, 3))[..., 1, 1], linear)
    assert torch.equal(fit_kernel(linear[..., None, None], 2, ()), linear)
    image = torch.randn(4, 3, 3, 3)
    assert torch.equal(fit_kernel(image, 2, ()), image[..., 1, 1])
    assert torch.equal(fit_kernel(image, 2, (3,)), image[..., 1, :])
    video = fit_kernel(image, 2, (3, 3, 3))
    assert torch.equal(video[:, :, 1], image)
    assert float(video.abs().sum() - image.abs().sum()) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("n", "m"), [(3, 16), (16, 8), (7, 4), (4, 7), (2, 1)])
def test_patches_keep_their_sum(n: int, m: int) -> None:
    weight = torch.randn(4, 3, n, n)
    torch.testing.assert_close(fit_kernel(weight, 2, (m, m)).sum((2, 3)), weight.sum((2, 3)), atol=1e-4, rtol=1e-4)
    constant = fit_kernel(torch.ones(1, 1, n, n), 2, (m, m))
    torch.testing.assert_close(constant, torch.full_like(constant, (n / m) ** 2))


def test_a_depthwise_kernel_is_the_mean_at_the_whole_norm() -> None:
    weight = torch.randn(6, 5, 3, 3)
    made = fit_weight(weight, 0, (6, 1, 3, 3), 0, depthwise=True)
    mean = weight.mean(1, keepdim=True)
    torch.testing.assert_close(made.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
    torch.testing.assert_close(F.cosine_similarity(made.flatten(1), mean.flatten(1)), torch.ones(6))
    assert torch.equal(fit_weight(torch.zeros(6, 5, 3, 3), 0, (4, 1, 3, 3), 0, depthwise=True), torch.zeros(4, 1, 3, 3))


def test_stacks_are_selected_alike_or_count_as_outputs() -> None:
    stacked = torch.randn(4, 6, 5)
    assert torch.equal(fit_weight(stacked, 1, (2, 3, 5), 1, depthwise=False), published(stacked, (2, 3, 5)))
    assert torch.equal(fit_weight(stacked, 1, (24, 5), 0, depthwise=False), stacked.flatten(0, 1))
    assert torch.equal(fit_weight(stacked.flatten(0, 1), 0, (4, 6, 5), 1, depthwise=False), stacked)


def test_vectors() -> None:
    vector = torch.arange(8.0)
    assert fit_vector(vector, (4,)).tolist() == [0, 2, 4, 6]
    assert fit_vector(vector, (1, 4, 1, 1)).flatten().tolist() == [0, 2, 4, 6]
    assert fit_vector(vector.view(1, 8, 1, 1), (16,)).tolist() == [value for value in range(8) for _ in range(2)]


@pytest.mark.parametrize(("t", "own"), [(17, 26), (16, 25), (17, 16), (16, 18), (50, 17)])
def test_a_square_of_positions_is_interpolated(t: int, own: int) -> None:
    """A plane over the square stays one; what leads the table is taken over."""
    side, own_side = int(t**0.5), int(own**0.5)
    lead = t - side * side
    rows = torch.linspace(-1, 1, 2 * side + 1)[1::2]
    table = torch.cat([torch.full((lead, 2), 9.0), torch.cartesian_prod(rows, rows)])
    made = fit_positions(table[None], (1, own, 2))[0]
    assert made.shape == (own, 2)
    own_lead = own - own_side**2
    own_rows = torch.linspace(-1, 1, 2 * own_side + 1)[1::2]
    inner = (own_rows.abs() < 0.6).nonzero().flatten()
    found = made[own_lead:].view(own_side, own_side, 2)[inner][:, inner]
    torch.testing.assert_close(
        found, torch.cartesian_prod(own_rows, own_rows).view(own_side, own_side, 2)[inner][:, inner], atol=0.1, rtol=0
    )
    if lead and own_lead:
        assert torch.equal(made[:own_lead], torch.full((own_lead, 2), 9.0))


def test_positions_of_other_layouts() -> None:
    table = torch.randn(1, 17, 8)
    assert torch.equal(fit_positions(table, (1, 17, 4)), table[..., ::2])
    assert torch.equal(fit_positions(table, (17, 8)), table[0])
    assert torch.equal(fit_positions(table[0], (1, 17, 8)), table)
    assert fit_positions(torch.randn(6, 4, 4), (3, 8, 8)).shape == (3, 8, 8)
    assert fit_positions(torch.randn(1, 30, 8), (1, 12, 8)).shape == (1, 12, 8)
    assert fit_positions(table, (17,)).shape == (17,)


def test_offsets_in_a_window() -> None:
    table = torch.arange(49.0)[:, None].expand(49, 4)
    assert torch.equal(fit_offsets(table, (49, 2)), table[:, :2])
    larger = fit_offsets(table, (169, 4))
    assert larger.shape == (169, 4)
    assert float(larger[84, 0]) == pytest.approx(24, abs=0.1)
    assert fit_offsets(torch.randn(10, 4), (7, 4)).shape == (7, 4)
