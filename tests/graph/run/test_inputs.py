"""What a model is called with where nobody says."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.run.inputs import candidate_inputs
from ghn.graph.trace import trace


@pytest.mark.parametrize(
    ("model", "ops"),
    [
        (nn.Sequential(nn.Linear(7, 3)), 3),
        (nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 26 * 26, 2)), 5),
        (nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(3 * 30 * 30, 2)), 5),
        (nn.Sequential(nn.Conv1d(2, 3, 3)), 3),
        (nn.Sequential(nn.Conv3d(2, 3, 3)), 3),
        (nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)), 3),
    ],
)
def test_guessed_inputs(model: nn.Module, ops: int) -> None:
    graph = trace(model)
    assert graph.traced_by == "meta"
    assert len(graph) == ops


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_guessed_inputs_have_the_precision_of_the_model(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(dtype)
    assert trace(model).traced_by == "meta"


def test_guessed_inputs_are_not_in_the_eight_bits_of_weights() -> None:
    class Eight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 8).to(torch.float8_e4m3fn), requires_grad=False)
            self.last = nn.Linear(6, 3, dtype=torch.float16)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x @ self.weight.to(x.dtype).t())

    assert set(trace(Eight()).parameters) == {"weight", "last.weight", "last.bias"}


class Two(nn.Module):
    """A model of two images and an option."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, left: Tensor, right: Tensor, scale: float = 1.0, *rest: Tensor, flag: bool = False) -> Tensor:
        return self.conv(left) - self.conv(right)


def first_shapes(model: nn.Module) -> list[tuple[int, ...]]:
    """Shapes of the likeliest inputs."""
    return [tuple(tensor.shape) for tensor in candidate_inputs(model)[0].tensors()]


def grouped() -> nn.Module:
    return nn.Conv2d(6, 6, 3, groups=6)


@pytest.mark.parametrize(
    ("model", "shapes"),
    [
        (nn.Conv2d(3, 4, 3), [(2, 3, 224, 224)]),
        (nn.Conv2d(5, 4, 3), [(2, 5, 224, 224)]),
        (grouped(), [(2, 3, 224, 224)]),
        (nn.Linear(7, 3), [(2, 7)]),
        (nn.Conv1d(2, 3, 3), [(2, 2, 4096)]),
        (nn.Conv3d(4, 3, 3), [(2, 4, 16, 112, 112)]),
        # Nothing to go by: a picture.
        (nn.LazyConv2d(3, 3), [(2, 3, 224, 224)]),
        (nn.BatchNorm2d(3), [(2, 3, 224, 224)]),
        (nn.Identity(), [(2, 3, 224, 224)]),
        (Two(), [(2, 3, 224, 224)] * 2),
    ],
)
def test_the_likeliest_comes_first(model: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    assert first_shapes(model) == shapes


@pytest.mark.parametrize("attribute", ["pretrained_cfg", "default_cfg"])
def test_what_the_model_declares_comes_before_guesses(attribute: str) -> None:
    model: Any = nn.Conv2d(3, 4, 3)
    setattr(model, attribute, {"input_size": (3, 31, 33)})
    assert first_shapes(model) == [(2, 3, 31, 33)]
    setattr(model, attribute, {"input_size": None})
    assert first_shapes(model) == [(2, 3, 224, 224)]
    setattr(model, attribute, "text")
    assert first_shapes(model) == [(2, 3, 224, 224)]


@pytest.mark.parametrize("model", [nn.Conv2d(3, 4, 3), nn.Conv2d(1, 4, 3), nn.Linear(7, 3), nn.Embedding(5, 2), Two()])
def test_nothing_is_tried_twice(model: nn.Module) -> None:
    model.default_cfg = {"input_size": (3, 224, 224)}  # type: ignore[assignment]
    tried = [str(inputs) for inputs in candidate_inputs(model)]
    assert len(tried) == len(set(tried)) > 1


def test_tokens_stay_integers_in_half_precision() -> None:
    types = {tensor.dtype for inputs in candidate_inputs(nn.Linear(4, 4).half()) for tensor in inputs.tensors()}
    assert types == {torch.float16, torch.int64}


def test_guesses_of_features_hold_no_numbers() -> None:
    tensors = [tensor for inputs in candidate_inputs(nn.Linear(4, 4)) for tensor in inputs.tensors()]
    assert all(tensor.is_meta == tensor.is_floating_point() for tensor in tensors)
