"""The scale of what a fresh hypernetwork predicts."""

from __future__ import annotations

import math

import pytest
import torch

from ghn.hypernet import GHNConfig
from ghn.hypernet.fit import KernelFit, fit_of
from ghn.meta.initial import set_initial_scale
from ghn.model import GHN
from tests.hypernet.graphs import awkward_graph

PRESETS = ["ghn3-t", "ghn2", "mlp"]


def fresh(preset: str = "ghn3-t") -> GHN:
    torch.manual_seed(0)
    return GHN(GHNConfig.preset(preset, num_classes=10))


def ratios(hypernet: GHN) -> dict[str, float]:
    """Root mean square of each predicted kernel over the scale that its layer asks for."""
    graph = awkward_graph()
    with torch.no_grad():
        (weights,) = hypernet(graph, head="predict")
    found = {}
    for name, spec in graph.parameters.items():
        fit = fit_of(spec, hypernet.config, head=spec.head)
        if isinstance(fit, KernelFit) and not fit.interpolated and not fit.leading and weights[name].numel() > 500:
            found[name] = float(weights[name].square().mean().sqrt()) / fit.scale
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_kernels_have_the_scale_that_their_layers_ask_for(preset: str) -> None:
    hypernet = fresh(preset)
    before = ratios(hypernet)
    assert len(before) > 3
    assert max(before.values()) < 0.1
    set_initial_scale(hypernet, "variance")
    after = ratios(hypernet)
    assert all(0.4 < ratio < 2.5 for ratio in after.values()), after


def test_as_published_nothing_changes() -> None:
    hypernet, other = fresh(), fresh()
    set_initial_scale(hypernet, "published")
    assert all(torch.equal(a, b) for a, b in zip(hypernet.parameters(), other.parameters(), strict=True))


def test_two_layers_are_multiplied_and_nothing_else_changes() -> None:
    hypernet, other = fresh(), fresh()
    state = torch.get_rng_state()
    set_initial_scale(hypernet, "variance")
    assert torch.equal(torch.get_rng_state(), state)
    scaled = {"decoder.conv.2", "decoder.class_layer_predictor.1"}
    for name, parameter in hypernet.named_parameters():
        before = other.get_parameter(name)
        if name.rpartition(".")[0] in scaled and name.endswith("weight"):
            factor = float((parameter / before).detach().median())
            assert factor > 2
            torch.testing.assert_close(parameter, factor * before)
        else:
            assert torch.equal(parameter, before), name
        assert parameter.requires_grad


def test_it_is_the_same_every_time_and_once_is_enough() -> None:
    hypernet, again = fresh(), fresh()
    for made in (hypernet, again):
        set_initial_scale(made, "variance")
    assert all(torch.equal(a, b) for a, b in zip(hypernet.parameters(), again.parameters(), strict=True))
    set_initial_scale(again, "variance")
    for first, second in zip(hypernet.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-7)


def test_a_step_of_adam_moves_what_is_predicted_by_less() -> None:
    """One step at the same rate: many times the published scale, a fraction of the other."""
    moved = {}
    for name in ("published", "variance"):
        hypernet = fresh()
        set_initial_scale(hypernet, name)  # type: ignore[arg-type]
        graph = awkward_graph(["linear", "bias"])
        before = hypernet(graph)[0]["linear"]
        optimizer = torch.optim.Adam(hypernet.parameters(), lr=1e-3)
        generator = torch.Generator().manual_seed(1)
        (before * torch.randn(before.shape, generator=generator)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            moved[name] = float((hypernet(graph)[0]["linear"] - before).norm() / before.norm())
    assert moved["published"] > 1
    assert moved["variance"] < moved["published"] / 3
    assert math.isfinite(moved["variance"])
