"""GradInit against its definition, computed with ordinary gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ghn.initializers import create
from ghn.initializers.learned.gradinit import GradInit, half_new
from ghn.initializers.learned.network import ScaledNetwork
from tests.initializers.learned.networks import gradients_of, tiny, tiny_images
from tests.initializers.networks import state


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_norm_and_loss_after_a_step_by_hand(optimizer: str) -> None:
    model, given = tiny(), tiny_images(count=7)
    start = GradInit(f"{optimizer},eta=0.03")
    norm, objective = start.problem(ScaledNetwork("x", model), given, 0)
    gradients = gradients_of(model, given[0])
    flat = torch.cat([gradient.flatten() for gradient in gradients.values()])
    assert float(norm.detach()) == pytest.approx(float(flat.norm() if optimizer == "sgd" else flat.abs().sum()))
    moved = {
        name: value.detach() - 0.03 * (gradients[name] if optimizer == "sgd" else gradients[name].sign())
        for name, value in model.named_parameters()
    }
    # Images 3 to 6 of the batch, 0 to 3 of the next.
    shown = torch.cat([given[0][0][3:], given[1][0][:4]])
    labels = torch.cat([given[0][1][3:], given[1][1][:4]])
    expected = nn.functional.cross_entropy(torch.func.functional_call(model, moved, shown), labels)
    assert float(objective().detach()) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_slopes_are_those_of_differences(optimizer: str) -> None:
    given = tiny_images()
    start = GradInit(optimizer)
    network = ScaledNetwork("x", tiny())
    slopes = [network.slopes(start.problem(network, given, 0)[0])]
    slopes.append(network.slopes(start.problem(network, given, 0)[1]()))
    for name in network.scales:
        found = []
        for factor in (1 + 1e-4, 1 - 1e-4):
            model = tiny()
            with torch.no_grad():
                model.get_parameter(name).mul_(factor)
            values = start.problem(ScaledNetwork("x", model), given, 0)
            found.append((float(values[0].detach()), float(values[1]().detach())))
        for kind in range(2):
            by_differences = (found[0][kind] - found[1][kind]) / 2e-4
            assert float(slopes[kind][name]) == pytest.approx(by_differences, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    "argument", ["gradinit:steps=60", "gradinit:adam,steps=60", "gradinit:gamma=0.3,steps=100,lr=0.03"]
)
def test_the_loss_falls_and_the_bound_holds(argument: str) -> None:
    model, given = tiny(), tiny_images(count=20)
    with torch.no_grad():
        model.get_parameter("3.weight").mul_(6)
    start = create(argument).steps[-1]
    assert isinstance(start, GradInit)
    before = start.judge(ScaledNetwork("x", model), given)
    values = state(model)
    report = start(model, given)
    after = start.judge(ScaledNetwork("x", model), given)
    assert after.excess == 0
    assert before.excess > 0 or after.objective < before.objective
    assert report.notes[-1] == f"the gradient norm keeps its bound {start.settings.bound:g}"
    assert set(report.changed) == set(values)
    for name, value in state(model).items():
        ratio = value / values[name]
        assert float(ratio.min()) > 0
        torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.flatten()[0])))


def test_defaults_gain_a_tenth_at_the_bound() -> None:
    assert GradInit().settings.bound == pytest.approx(1.0)
    assert GradInit("adam").settings.bound == pytest.approx(100.0)
    assert GradInit("eta=0.4").settings.bound == pytest.approx(0.5)
    assert GradInit("gamma=3").settings.bound == 3


def test_half_of_the_images_are_new() -> None:
    one, other = ((torch.arange(count) + base, torch.arange(count) + base) for count, base in ((5, 0), (3, 10)))
    assert half_new(one, other)[1].tolist() == [2, 3, 4, 10, 11]
    assert half_new(other, other)[1].tolist() == [11, 12, 10, 11]
