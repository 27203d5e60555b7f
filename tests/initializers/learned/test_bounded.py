"""Descent under a bound, on objectives that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers.learned.bounded import BoundedSettings, BoundedStart
from ghn.initializers.learned.network import LEAST_SCALE, ScaledNetwork
from ghn.initializers.report import Batch


class Known(BoundedStart):
    """The norm is the first scale, the objective minus it: the bound is the answer."""

    objective_name = "objective"

    def problem(
        self, network: ScaledNetwork, batches: Sequence[Batch], index: int
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        scale = next(iter(network.scales.values()))
        return scale * 1.0, lambda: -scale


@pytest.mark.parametrize(("gamma", "steps"), [(3.0, 300), (0.5, 100)])
def test_the_bound_is_reached_and_kept(gamma: float, steps: int) -> None:
    start = Known("known", BoundedSettings(gamma=gamma, steps=steps, lr=0.05))
    network = ScaledNetwork("known", nn.Linear(2, 2))
    start.restart(network)
    for index in range(steps):
        assert start.step(network, [], index)
    assert start.finish(network, []) == [f"the gradient norm keeps its bound {gamma:g}"]
    assert gamma - 0.3 < float(network.scales["weight"].detach()) <= gamma


def test_a_bound_that_is_not_reached_is_told() -> None:
    start = Known("known", BoundedSettings(gamma=1e-4, steps=200, lr=0.1))
    network = ScaledNetwork("known", nn.Linear(2, 2))
    start.restart(network)
    (note,) = start.finish(network, [])
    assert note == "the gradient norm is still above its bound 0.0001; take more steps"
    assert float(network.scales["weight"].detach()) == pytest.approx(LEAST_SCALE)


def test_what_is_not_finite_leaves_the_scales() -> None:
    class NotFinite(Known):
        def problem(
            self, network: ScaledNetwork, batches: Sequence[Batch], index: int
        ) -> tuple[Tensor, Callable[[], Tensor]]:
            scale = next(iter(network.scales.values()))
            return scale * torch.nan, lambda: scale

    start = NotFinite("known", BoundedSettings())
    network = ScaledNetwork("known", nn.Linear(2, 2))
    start.restart(network)
    assert not start.step(network, [], 0)
    assert float(network.scales["weight"].detach()) == 1
    assert not start.judge(network, []).is_finite
