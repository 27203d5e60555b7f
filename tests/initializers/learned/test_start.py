"""What starts that learn scales have in common: errors, what stays, reports."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers import create
from ghn.initializers.learned.gradinit import GradInit
from ghn.initializers.learned.network import ScaledNetwork
from ghn.initializers.learned.start import Judgement, are_finite
from tests.initializers.learned.networks import tiny, tiny_images
from tests.initializers.learned.test_network import Awkward
from tests.initializers.networks import images, small, state

NAMES = ["metainit:steps=2", "gradinit:steps=2", "gradinit:adam,steps=2", "nio:steps=2"]


@pytest.mark.parametrize("name", NAMES)
def test_all_but_the_values_of_parameters_stays(name: str) -> None:
    model = small().train()
    model[1].eval()  # type: ignore[index]
    model.get_parameter("4.weight").requires_grad_(False)
    held = dict(model.named_parameters())
    gradient = torch.ones_like(held["0.weight"])
    held["0.weight"].grad = gradient
    before, random = state(model), torch.get_rng_state()
    report = create(name)(model, iter(images()), seed=1).steps[-1]
    assert torch.equal(torch.get_rng_state(), random)
    assert (model.training, model[1].training, model[5].training) == (True, False, True)  # type: ignore[index]
    assert all(parameter is held[key] for key, parameter in model.named_parameters())
    assert held["0.weight"].grad is gradient
    assert [key for key, value in held.items() if not value.requires_grad] == ["4.weight"]
    assert report.kept["4.weight"] == "it is frozen"
    for key, value in state(model).items():
        assert torch.equal(value, before[key]) == (key not in report.changed), key
    assert {*report.changed, *report.kept} == set(held)
    assert not set(report.changed) & set(report.kept)


@pytest.mark.parametrize("name", NAMES)
def test_awkward_models(name: str) -> None:
    model = Awkward()
    given = [(torch.randn(8, 3, 2, 2), torch.arange(8) % 3)]
    report = create(name)(model, given).steps[-1]
    assert {*report.changed, *report.kept} == {key for key, _ in model.named_parameters()}
    assert model.tied.weight is model.first.weight
    if not name.startswith("metainit"):
        assert report.kept["unused.weight"] == "its scale stays 1: nothing depends on it"


class Twice(nn.Module):
    """Gives what may be a tuple, or no scores."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer, self.kind = nn.Linear(12, 3), kind

    def forward(self, x: Tensor) -> object:
        scores = self.layer(x.flatten(1))
        return {
            "tuple": (scores, x),
            "dict": {"loss": scores.sum(), "logits": scores},
            "infinite": scores * torch.inf,
            "maps": scores[:, :, None],
        }[self.kind]


@pytest.mark.parametrize("kind", ["tuple", "dict"])
@pytest.mark.parametrize("name", NAMES)
def test_scores_among_other_outputs(name: str, kind: str) -> None:
    torch.manual_seed(0)
    report = create(name)(Twice(kind), [(torch.randn(8, 3, 2, 2), torch.arange(8) % 3)])
    assert report.notes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("kind", "message"),
    [("infinite", "cannot start: the model's loss or gradient is not finite"), ("maps", "needs a classifier: Twice")],
)
def test_errors_leave_the_model(name: str, kind: str, message: str) -> None:
    model = Twice(kind)
    before = state(model)
    with pytest.raises(ValueError, match=message) as caught:
        create(name)(model, [(torch.randn(8, 3, 2, 2), torch.arange(8) % 3)])
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in state(model).items())


def test_too_few_images() -> None:
    with pytest.raises(ValueError, match=r"gradinit needs at least 8 labelled images, not 4; give it more batches"):
        GradInit()(tiny(), tiny_images(1, 4))


def test_scales_that_are_no_better_are_not_taken() -> None:
    class Worse(GradInit):
        def step(self, network: ScaledNetwork, batches: object, index: int) -> bool:
            for scale in network.scales.values():
                scale.detach().mul_(5)
            return True

        def finish(self, network: ScaledNetwork, batches: object) -> list[str]:
            return []

    model = tiny()
    before = state(model)
    report = Worse("steps=2")(model, tiny_images())
    assert report.changed == ()
    assert set(report.kept.values()) == {"no better scale was found"}
    assert report.notes[0].startswith("the model stays: loss after a step")
    assert all(torch.equal(value, before[key]) for key, value in state(model).items())


def test_a_step_that_is_not_finite_ends_the_learning() -> None:
    class Breaks(GradInit):
        def step(self, network: ScaledNetwork, batches: object, index: int) -> bool:
            return index < 2 and super().step(network, batches, index)  # type: ignore[arg-type]

    report = Breaks("steps=9")(tiny(), tiny_images())
    assert "step 3 was not finite: the scales are those before it" in report.notes


def test_a_model_that_is_frozen_stays() -> None:
    model = tiny().requires_grad_(False)
    report = GradInit()(model, tiny_images())
    assert report.notes == ("it has nothing to scale",)
    assert set(report.kept.values()) == {"it is frozen"}


def test_judgements() -> None:
    good, far, nan = Judgement(1.0, 0.0, ""), Judgement(0.5, 0.1, ""), Judgement(math.nan, 0.0, "")
    assert good.is_better_than(far)
    assert not far.is_better_than(good)
    assert Judgement(0.9, 0.0, "").is_better_than(good)
    assert not good.is_better_than(good)
    assert not nan.is_better_than(good)
    assert are_finite([torch.ones(2)])
    assert not are_finite([torch.ones(2), torch.tensor(math.inf)])
