"""All scores of a model."""

from __future__ import annotations

import copy
import gc
import math
import random
import threading

import pytest
import torch
from torch import Tensor, nn

import ghn
from ghn.analysis import SCORES, score_table, scores
from tests.analysis.networks import Attention, Small, made, some_images
from tests.analysis.zero_cost.direct import DIRECT


def test_the_direct_definitions_are_of_all_scores() -> None:
    assert set(DIRECT) == set(SCORES)


@pytest.mark.parametrize("kind", [Small, Attention])
@pytest.mark.parametrize("name", SCORES)
def test_a_score_equals_its_definition(kind: type[nn.Module], name: str) -> None:
    model, batch = made(kind), some_images()
    (score,) = score_table(model, batch, names=[name]).values()
    if kind is Attention and name == "naswot":
        assert score.reason == "the model has no rectified linear units"
        return
    assert score.reason is None
    assert score.value == pytest.approx(DIRECT[name](model, batch), rel=2e-4)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_leaves_no_tensor_behind(name: str) -> None:
    """Of a large model each would be gigabytes, and an analysis scores many."""

    def after_scoring() -> int:
        scores(made(Small), some_images(), names=[name])
        gc.collect()
        return sum(issubclass(type(found), Tensor) for found in gc.get_objects())

    first = after_scoring()
    assert after_scoring() == first


def test_the_public_function_gives_plain_numbers() -> None:
    found = ghn.analysis.scores(made(Small), some_images())
    assert list(found) == list(SCORES)
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("training", [True, False])
def test_the_model_and_the_random_state_stay(training: bool) -> None:
    model = made(Small).train(training)
    model.first.requires_grad_(False)  # type: ignore[operator, union-attr]
    model.head.weight.grad = torch.ones_like(model.head.weight)  # type: ignore[arg-type, union-attr]
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(3)
    random.seed(3)
    expected = torch.rand(2), random.random()
    torch.manual_seed(3)
    random.seed(3)
    first = scores(model, some_images())
    assert torch.equal(torch.rand(2), expected[0])
    assert random.random() == expected[1]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training is training for module in model.modules())
    assert [parameter.grad is None for parameter in model.parameters()].count(False) == 1
    assert bool((model.head.weight.grad == 1).all())  # type: ignore[union-attr]
    assert not model.first.weight.requires_grad  # type: ignore[union-attr]
    # What is frozen counts like the others, and nothing depends on the mode.
    assert first == scores(made(Small), some_images())


class Regressor(nn.Module):
    """Gives maps, not scores."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(images)


def test_an_undefined_score_says_why() -> None:
    found = score_table(made(Regressor), some_images())
    reasons = {name: score.reason for name, score in found.items()}
    assert reasons["gradnorm"] == "the model gives (5, 2, 6, 6), no scores (images, classes)"
    assert reasons["naswot"] == "the model has no rectified linear units"
    # The derivative of a linear map is the same for all images; it still has a flow and a cost.
    assert [name for name, reason in reasons.items() if reason is None][-4:] == [
        "synflow",
        "synflow-bn",
        "parameters",
        "multiply-adds",
    ]
    assert all(math.isnan(score.value) == (score.reason is not None) for score in found.values())
    assert "undefined: " in str(found["snip"])


def test_labels_beyond_the_outputs_are_told() -> None:
    images, labels = some_images()
    found = score_table(made(Small), (images, labels + 2), names=["snip", "synflow"])
    assert found["snip"].reason == "the model has 4 outputs, and labels go up to 5"
    assert found["synflow"].reason is None


def test_one_image_has_no_correlation() -> None:
    found = score_table(made(Attention), some_images(1))
    assert found["jacobcov"].reason == "it takes at least two images"
    assert found["fisher"].reason is None
    assert found["fisher"].value == pytest.approx(DIRECT["fisher"](made(Attention), some_images(1)), rel=1e-4)


def test_what_is_too_large_is_undefined() -> None:
    model = made(Small)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e30)
    (score,) = score_table(model.double(), some_images(), names=["synflow"]).values()
    assert score.reason is None or "too large" in score.reason
    (score,) = score_table(model.float(), some_images(), names=["snip"]).values()
    assert score.reason is not None


@pytest.mark.parametrize(
    ("model", "batch", "message"),
    [
        (made(Small).to("meta"), some_images(), "Small is on the meta device"),
        (nn.Sequential(nn.LazyLinear(3)), some_images(), "parameters without a shape"),
        (made(Small), (torch.zeros(0, 3, 6, 6), torch.zeros(0, dtype=torch.int64)), "there are 0 images"),
        (made(Small), (torch.zeros(2, 3, 6, 6), torch.zeros(3, dtype=torch.int64)), "2 images with 3 labels"),
    ],
)
def test_without_numbers_there_are_no_scores(model: nn.Module, batch: tuple[Tensor, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores(model, batch)


def test_an_unknown_score_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown score 'snipp'; there are gradnorm, snip"):
        scores(made(Small), some_images(), names=["snipp"])


def test_threads_leave_the_process_as_it_was() -> None:
    models = [made(Small) for _ in range(4)]
    expected = scores(models[0], some_images())
    found: list[dict[str, float]] = []
    state, kind = torch.get_rng_state(), torch.get_default_dtype()
    fused = torch.backends.mha.get_fastpath_enabled()
    threads = [threading.Thread(target=lambda m=model: found.append(scores(m, some_images()))) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [pytest.approx(expected)] * 4
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == kind
    assert torch.backends.mha.get_fastpath_enabled() == fused
