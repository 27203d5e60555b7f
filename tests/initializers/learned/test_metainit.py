"""MetaInit against its equation, with the Hessian written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers import create
from ghn.initializers.learned.metainit import EPSILON, MetaInit, gradient_quotient
from ghn.initializers.learned.network import LEAST_SCALE, ScaledNetwork
from tests.initializers.learned.networks import tiny, tiny_images
from tests.initializers.networks import images, small, state


def quotient_by_hand(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The definition, with all of the Hessian."""
    shapes = {name: value.shape for name, value in model.named_parameters()}
    theta = torch.cat([value.detach().flatten() for value in model.parameters()])

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([shape.numel() for shape in shapes.values()])
        values = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts)}
        return nn.functional.cross_entropy(torch.func.functional_call(model, values, images), labels)

    g = torch.autograd.functional.jacobian(loss, theta)
    H = torch.autograd.functional.hessian(loss, theta)
    epsilon = torch.where(g >= 0, EPSILON, -EPSILON)
    return float(((g - H @ g) / (g + epsilon) - 1).abs().mean())


def test_the_quotient_is_that_of_the_hessian() -> None:
    model, given = tiny(), tiny_images()
    start = MetaInit("images")
    found = start.judge(ScaledNetwork("x", model), given)
    assert found.objective == pytest.approx(quotient_by_hand(model, *given[0]), rel=1e-4)
    assert found.text == f"gradient quotient {found.objective:.4g}"


def test_a_quotient_of_numbers() -> None:
    # (1 - 0.5) / 1 - 1 = -0.5, (-2 - 2) / -2 - 1 = 1
    found = gradient_quotient([torch.tensor([1.0, -2.0])], [torch.tensor([0.5, 2.0])])
    assert float(found) == pytest.approx(0.75, rel=1e-4)


def test_steps_change_norms_by_the_sign_with_momentum() -> None:
    model, given = tiny(), tiny_images()
    start = MetaInit("images,lr=0.05,momentum=0.5")
    network = ScaledNetwork("x", model, ["1.weight", "3.weight"])
    start.batches(model, given, 0)
    start.restart(network)
    before = {name: float(model.get_parameter(name).detach().norm()) for name in network.scales}
    slopes = {}
    for name in before:
        # The derivative by the norm, by differences of the definition.
        found = []
        for factor in (1 + 1e-4, 1 - 1e-4):
            other = tiny()
            with torch.no_grad():
                other.get_parameter(name).mul_(factor)
            found.append(quotient_by_hand(other, *given[0]))
        slopes[name] = found[0] - found[1]
    assert start.step(network, given, 0)
    for name, norm in before.items():
        change = -0.05 if slopes[name] > 0 else 0.05
        assert network.norm(name) == pytest.approx(norm + change, rel=1e-5)
    after = {name: network.norm(name) for name in before}
    start.step(network, given, 0)
    changes = [network.norm(name) - after[name] for name in before]
    # Half of the first change, and one more either way.
    assert all(abs(abs(change) - 0.075) < 1e-5 or abs(abs(change) - 0.025) < 1e-5 for change in changes)


def test_norms_stay_positive() -> None:
    model, given = tiny(), tiny_images()
    start = MetaInit("images,lr=100")
    network = ScaledNetwork("x", model, ["1.weight", "3.weight"])
    start.restart(network)
    for index in range(4):
        start.step(network, given, index)
    assert all(float(scale.detach()) >= LEAST_SCALE * 0.999 for scale in network.scales.values())


def badly_scaled() -> nn.Module:
    model = tiny()
    with torch.no_grad():
        model.get_parameter("1.weight").mul_(4)
        model.get_parameter("3.weight").mul_(4)
    return model


@pytest.mark.parametrize("argument", ["metainit:steps=30,lr=0.02", "metainit:images,steps=30,lr=0.02"])
def test_the_quotient_falls_and_directions_stay(argument: str) -> None:
    model, given = badly_scaled(), tiny_images()
    before = state(model)
    report = create(argument)(model, given, seed=3).steps[-1]
    assert report.changed == ("1.weight", "3.weight")
    assert report.kept == {"1.bias": "a bias", "3.bias": "a bias"}
    one, other = (float(words.split()[2]) for words in report.notes[0].split(", "))
    assert other < one
    for name, value in state(model).items():
        torch.testing.assert_close(value / value.norm(), before[name] / before[name].norm())
    again = badly_scaled()
    create(argument)(again, given, seed=3)
    assert all(torch.equal(value, state(again)[name]) for name, value in state(model).items())


def test_noise_needs_no_images() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 56**2, 3)
    )
    assert create("metainit:steps=1").needs_images == 0
    report = create("metainit:steps=1")(model).steps[-1]
    assert {*report.changed, *report.kept} == {name for name, _ in model.named_parameters()}
    assert create("metainit:images").needs_images == 8
    with pytest.raises(ValueError, match="metainit:images needs at least 8 labelled images, not 0"):
        create("metainit:images").steps[-1](model)


def test_what_takes_no_images() -> None:
    with pytest.raises(ValueError, match="metainit does not know what images Linear takes; give it a batch"):
        create("metainit")(nn.Linear(4, 3))


def test_it_follows_another_start() -> None:
    model = small()
    report = create("orthogonal+metainit:steps=2")(model, images())
    assert [step.name for step in report.steps] == ["orthogonal", "metainit:steps=2"]
    weight = model.get_parameter("9.weight").detach()
    gram = weight @ weight.T
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(3), atol=1e-4, rtol=0)
