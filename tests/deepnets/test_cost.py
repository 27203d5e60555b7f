"""Multiply-adds read off the plan against PyTorch's own count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ghn.deepnets import DeepNets, network_from_arguments
from ghn.deepnets.cost import megamacs
from ghn.deepnets.plan import plan_network
from tests.deepnets.architectures import cells, wild


@pytest.mark.parametrize("image_size", [32, 224])
@pytest.mark.parametrize(
    "split", ["train", "bnfree", "wide", *(pytest.param(name, marks=pytest.mark.slow) for name in ("deep", "dense"))]
)
def test_it_is_what_the_network_does(split: str, image_size: int) -> None:
    deepnets = DeepNets(split, image_size=image_size)
    for index in range(2 if image_size == 32 else 1):
        arguments = deepnets.arguments(index)
        counter = FlopCounterMode(display=False)
        with counter, sdpa_kernel(SDPBackend.MATH):
            deepnets.network(arguments)(torch.empty(1, 3, image_size, image_size, device="meta"))
        assert megamacs(plan_network(arguments, 10, image_size)) == pytest.approx(counter.get_total_flops() / 2e6)


@pytest.mark.parametrize("image_size", [8, 28, 31])
@pytest.mark.parametrize("seed", range(8))
def test_odd_sides(seed: int, image_size: int) -> None:
    arguments = wild(seed)
    crossed = replace(arguments, genotype=cells(("conv_7x1_1x7", 1), ("skip_connect", 0)).genotype, preproc=True)
    for item in (arguments, crossed):
        with torch.device("meta"):
            network = network_from_arguments(item, 10, image_size)
        counter = FlopCounterMode(display=False)
        with counter, sdpa_kernel(SDPBackend.MATH):
            network(torch.empty(2, 3, image_size, image_size, device="meta"))
        # Two images, as batch normalisation of a single pixel needs more than one.
        assert megamacs(network.plan) == pytest.approx(counter.get_total_flops() / 4e6)
