"""Tensors made from their counterparts: what networks compute stays where it can."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ghn.initializers.transfer.counterparts import counterparts
from ghn.initializers.transfer.fit import select
from ghn.initializers.transfer.network import Network
from ghn.initializers.transfer.tailor import tailor
from tests.initializers.transfer.networks import IMAGES, Transformer, filled, plain, separate


def fitted(ours: nn.Module, theirs: nn.Module) -> dict[str, str]:
    """Let `ours` have what is made for it; returns reasons."""
    mine, others = Network(ours, IMAGES), Network(theirs, IMAGES)
    made, reasons = tailor(mine, others, counterparts(mine, others))
    with torch.no_grad():
        for name, value in made.items():
            mine.tensors[name].copy_(value)
    return reasons


def same_outputs(ours: nn.Module, theirs: nn.Module) -> None:
    images = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("width", [8, 9])
@pytest.mark.parametrize("norm", [True, False])
def test_a_wider_network_computes_the_same(width: int, norm: bool) -> None:
    ours, theirs = plain(width, norm=norm), filled(plain(4, norm=norm))
    assert fitted(ours, theirs) == {}
    if width == 8:
        same_outputs(ours, theirs)


def test_larger_kernels_compute_the_same() -> None:
    ours, theirs = plain(4, kernel=5), filled(plain(4))
    fitted(ours, theirs)
    same_outputs(ours, theirs)


def test_absorbed_norms_compute_the_same() -> None:
    ours, theirs = plain(4, norm=False), filled(plain(4))
    fitted(ours, theirs)
    same_outputs(ours, theirs)
    # Also where the source's layers have biases of their own.
    biased = plain(4)
    biased[0] = nn.Conv2d(3, 4, 3, padding=1)
    theirs = filled(biased)
    fitted(ours, theirs)
    same_outputs(ours, theirs)


def test_other_numbers_of_positions_and_of_entries() -> None:
    ours, theirs = Transformer(8, 1, side=24), filled(Transformer(8, 1))
    mine, others = Network(ours, torch.zeros(2, 3, 24, 24)), Network(theirs, IMAGES)
    made, reasons = tailor(mine, others, counterparts(mine, others))
    assert reasons == {}
    assert made["positions"].shape == (1, 37, 8)
    assert torch.equal(made["positions"][0, 0], theirs.get_parameter("positions")[0, 0])

    def with_table(entries: int) -> nn.Module:
        return nn.Sequential(nn.Embedding(entries, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))

    tokens = torch.zeros(2, 3, dtype=torch.int64)
    mine, others = Network(with_table(7), tokens), Network(filled(with_table(9)), tokens)
    _, reasons = tailor(mine, others, counterparts(mine, others))
    assert reasons == {"0.weight": "0.weight is a table of other entries"}


def test_buffers_of_other_shapes_stay() -> None:
    ours, theirs = plain(4), filled(plain(4))
    ours.register_buffer("table", torch.arange(4))
    theirs.register_buffer("table", torch.arange(6))
    assert fitted(ours, theirs) == {"table": "a buffer of another shape than table"}
    assert ours.get_buffer("table").tolist() == [0, 1, 2, 3]


def test_stored_the_other_way_round() -> None:
    """A matrix (in, out) from a linear layer's (out, in), through what the graphs say of their axes."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Parameter(torch.zeros(6, 10)), nn.Parameter(torch.zeros(10, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x @ self.inner).relu() @ self.outer

    theirs = filled(nn.Sequential(nn.Linear(6, 10, bias=False), nn.ReLU(), nn.Linear(10, 3, bias=False)))
    ours, inputs = Turned(), torch.zeros(2, 6)
    mine, others = Network(ours, inputs), Network(theirs, inputs)
    made, _ = tailor(mine, others, counterparts(mine, others))
    assert torch.equal(made["inner"], theirs.get_parameter("0.weight").T)
    assert torch.equal(made["outer"], theirs.get_parameter("2.weight").T)


@pytest.mark.parametrize("width", [8, 16])
def test_queries_keys_and_values_in_one_layer_or_three(width: int) -> None:
    packed, apart = filled(Transformer(8, 2)), separate(width, 2)
    for block in packed.get_submodule("blocks").children():
        nn.init.constant_(block.get_parameter("gamma"), 0.5)
    assert fitted(apart, packed) == {}
    for index in range(2):
        q, k, v = packed.get_parameter(f"blocks.{index}.qkv.weight").chunk(3)
        for part, wanted in zip("qkv", (q, k, v), strict=True):
            found = apart.get_parameter(f"blocks.{index}.{part}.weight")
            assert torch.equal(found, select(wanted, (width, 8)).repeat_interleave(width // 8, 1) / (width // 8))
    if width == 8:
        same_outputs(apart, packed)
    again = filled(Transformer(8, 2), 7)
    fitted(again, filled(separate(8, 2), 3))
    for block in again.get_submodule("blocks").children():
        nn.init.constant_(block.get_parameter("gamma"), 0.5)
    same_outputs(again, filled(separate(8, 2), 3))
