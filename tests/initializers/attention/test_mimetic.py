"""Mimetic initialisation against its definition: products of the weights, however attention is written."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers import create
from ghn.initializers.attention.mimetic import factors, sinusoids
from tests.initializers.attention.networks import PLAIN, Attention, D, K, N
from tests.initializers.networks import state

BATCHES = [(torch.zeros(4, N, D), torch.zeros(4, dtype=torch.int64))]


def drawn(generator: torch.Generator, alpha: float, beta: float) -> Tensor:
    return alpha * torch.randn(D, D, generator=generator) / math.sqrt(D) + beta * torch.eye(D)


def nearest(matrix: Tensor, rank: int) -> Tensor:
    U, S, Vh = torch.linalg.svd(matrix)
    return (U[:, :rank] * S[:rank]) @ Vh[:rank]


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("heads", [1, 2])
def test_products_are_those_of_the_paper(kind: str, heads: int) -> None:
    model = Attention(kind, heads)
    before = state(model)
    report = create("mimetic:alpha1=0.6,beta2=0.3")(model, BATCHES, seed=5).steps[-1]
    q, k, v, out = model.weights()
    generator = torch.Generator().manual_seed(5)
    for head in range(heads):
        expected = nearest(drawn(generator, 0.6, 0.7), q.shape[2])
        torch.testing.assert_close(q[head] @ k[head].T, expected, atol=1e-5, rtol=1e-4)
    values = v.transpose(0, 1).flatten(1)
    torch.testing.assert_close(values @ out, drawn(generator, 0.4, -0.3), atol=1e-5, rtol=1e-4)
    # Both factors are equally large.
    assert float(q.norm()) == pytest.approx(float(k.norm()), rel=1e-4)
    assert "positions" in report.changed
    assert {*report.changed, *report.kept} == set(before)
    for name, value in state(model).items():
        assert torch.equal(value, before[name]) == (name not in report.changed), name
    assert report.notes == (f"1 attentions: queries and keys of {heads} heads, 1 outputs, 1 tables",)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("normalised", "more is done to queries or keys than to project them"),
        ("rotated", "more is done to queries or keys than to project them"),
        ("shared keys", "heads share queries or keys"),
        ("other features", "queries and keys are of different features"),
    ],
)
def test_what_is_not_plain_stays(kind: str, reason: str) -> None:
    model = Attention(kind)
    before = state(model)
    report = create("mimetic")(model, BATCHES).steps[-1]
    assert f"in 1: {reason}" in report.notes
    # Where more is done to them than to project them, which weights they come of is not known.
    unseen = "it was not seen to project for self-attention"
    expected = {unseen, reason} if "project" in reason else {reason}
    assert {report.kept["q.weight"], report.kept["k.weight"]} <= expected
    assert torch.equal(model.q.weight, before["q.weight"])
    _, _, v, out = model.weights()
    values = v.transpose(0, 1).flatten(1)
    diagonal = (values @ out).diagonal().mean()
    assert "v.weight" in report.changed
    assert float(diagonal) == pytest.approx(-0.4, abs=0.2)


def test_a_gate_between_values_and_output_keeps_both() -> None:
    report = create("mimetic")(Attention("gate"), BATCHES).steps[-1]
    assert report.kept["v.weight"] == "its output is not projected by a layer of its own width"
    assert report.kept["out.weight"] == "it was not seen to project for self-attention"
    assert {"q.weight", "k.weight"} <= set(report.changed)


def test_modes_gradients_buffers_and_random_state_stay() -> None:
    model, random = Attention("fused").train(), torch.get_rng_state()
    model.norm.eval()
    model.requires_grad_(False)
    fast = torch.backends.mha.get_fastpath_enabled()
    create("mimetic")(model, BATCHES)
    assert torch.equal(torch.get_rng_state(), random)
    assert (model.training, model.norm.training) == (True, False)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_position_embeddings_may_stay() -> None:
    model = Attention("fused")
    before = state(model)
    report = create("mimetic:learned")(model, BATCHES).steps[-1]
    assert report.kept["positions"] == "a position embedding"
    assert torch.equal(model.positions, before["positions"])


def test_sinusoids() -> None:
    table = sinusoids(5, 4, square=False)
    assert table is not None
    for position in range(5):
        slow = position / 10_000**0.5
        expected = [math.sin(position), math.sin(slow), math.cos(position), math.cos(slow)]
        torch.testing.assert_close(table[position], torch.tensor(expected))
    square = sinusoids(10, 4, square=True)
    assert square is not None
    assert not square[0].any()
    # Row 1 and column 2 of three by three, after a class token.
    expected = [math.sin(1), math.cos(1), math.sin(2), math.cos(2)]
    torch.testing.assert_close(square[1 + 3 + 2], torch.tensor(expected))
    assert sinusoids(9, 6, square=True) is None
    assert sinusoids(9, 5, square=False) is None
    # What leaves too many over is no square.
    assert torch.equal(sinusoids(13, 4, square=True), sinusoids(13, 4, square=False))  # type: ignore[arg-type]


@pytest.mark.parametrize("rank", [1, 3, 6, 9])
def test_factors_are_nearest(rank: int) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(6, 6)
    left, right = factors(matrix, rank)
    assert (left.shape, right.shape) == ((6, rank), (rank, 6))
    torch.testing.assert_close(left @ right, nearest(matrix, min(rank, 6)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(left.square().sum(0), right.square().sum(1), atol=1e-5, rtol=1e-4)


def test_a_model_without_attention() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(N * D, 3))
    before = state(model)
    report = create("mimetic")(model, BATCHES).steps[-1]
    assert report.changed == ()
    assert report.notes == ("it has no attention that was seen",)
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())


def test_errors() -> None:
    with pytest.raises(ValueError, match="mimetic runs the model, and Linear is on the meta device"):
        create("mimetic")(nn.Linear(2, 2, device="meta"))
    with pytest.raises(ValueError, match="mimetic takes sinusoidal, learned, alpha1=, beta1=, alpha2=, beta2="):
        create("mimetic:gamma=3")
    assert K * 2 == D
