"""The ladder of ways to run a model, and what tracing must leave alone."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ghn.graph.trace import TraceError, trace
from tests.graph.graphs import IMAGE, chain, named


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (nn.Identity(), None, "Identity has no parameters"),
        (nn.Linear(4, 4), torch.zeros(2, 5), r"forward pass of Linear fails on float32\(2, 5\).*example_inputs"),
        (nn.Conv2d(3, 4, 3), torch.zeros(2, 3, 2, 2), "check the shapes and types of example_inputs"),
        (nn.Linear(4, 4), "nonsense", "example_inputs must be"),
    ],
)
def test_clear_line(model: nn.Module, inputs: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        trace(model, inputs)
    assert "\n" not in str(caught.value)


def test_forward_that_fails() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no\nsuch thing")

    with pytest.raises(TraceError, match="no such thing"):
        trace(Broken())


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_device_mode_and_dtype_do_not_matter(device: str, training: bool, dtype: torch.dtype) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.LazyLinear(3))

    model = build()
    model(IMAGE)
    expected = named(trace(model, IMAGE))
    model.to(device=device, dtype=dtype).train(training)
    graph = trace(model, IMAGE.to(dtype))
    assert sorted(named(graph).edges) == sorted(expected.edges)
    assert model.training == training


def test_nothing_is_touched() -> None:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.calls: list[int] = []
            self.last: object = None
            self.register_buffer("count", torch.zeros(1))
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x: Tensor) -> Tensor:
            self.calls.append(1)
            self.last = x
            self.get_buffer("count").add_(1)
            random.random(), np.random.rand(), torch.rand(1)
            return self.norm(self.a(x))

    model = Stateful().eval()
    model.a.weight.requires_grad_(False)
    model.a.bias.grad = torch.ones(4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    states = random.getstate(), torch.get_rng_state().clone(), repr(np.random.get_state())
    x = torch.ones(2, 4)
    trace(model, x)
    assert (model.calls, model.last) == ([], None)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert repr(np.random.get_state()) == states[2]
    assert not model.training
    assert not model.a.weight.requires_grad
    assert torch.equal(model.a.bias.grad, torch.ones(4))
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.equal(x, torch.ones(2, 4))


def test_layers_dropped_at_random_in_training_are_found() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) if self.training else self.b(self.a(x))

    assert len(trace(Dropping(), torch.zeros(2, 4)).parameters) == 4


def test_tied_frozen_integer_and_complex_parameters() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight
            self.a.weight.requires_grad_(False)
            self.steps = nn.Parameter(torch.zeros(2, dtype=torch.long), requires_grad=False)
            self.phase = nn.Parameter(torch.zeros(2, dtype=torch.complex64))

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    graph = trace(Model(), torch.zeros(2, 4))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
    assert set(graph.parameters) == {"a.weight", "a.bias", "b.bias"}
    assert graph.kept == {"steps": "integers", "phase": "complex numbers"}


def test_scripted_part() -> None:
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 2))
    graph = trace(model, torch.zeros(2, 4))
    assert len(graph.parameters) == 4


def test_lazy_layers() -> None:
    graph = trace(nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()), IMAGE)
    assert chain(graph) == ["input", "conv", "bias", "bn"]


@pytest.mark.parametrize("inputs", [torch.zeros(2, 9), None])
def test_failures_of_the_model_itself_are_errors_on_every_rung(inputs: Tensor | None) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            torch.unique(x)
            return self.a(x) + "a"  # type: ignore[operator]

    with pytest.raises(TraceError):
        trace(Model(), inputs)


def test_inference_mode() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.inference_mode():
        assert len(trace(model, torch.zeros(2, 8))) == 5


def test_lazy_part_that_never_runs() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.LazyLinear(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x)

    assert set(trace(Model(), torch.zeros(2, 4)).parameters) == {"a.weight", "a.bias"}


@pytest.mark.parametrize("inputs", [[IMAGE, torch.zeros(2)], {"pictures": IMAGE}, (IMAGE, IMAGE, IMAGE), ()])
def test_given_inputs_that_do_not_fit_are_an_error(inputs: Any) -> None:
    class Net(nn.Sequential):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image)

    with pytest.raises(TraceError, match=r"the forward pass of Net fails on .*forward\(\).*\(pass example_inputs"):
        trace(Net(nn.Conv2d(3, 4, 3)), inputs)


def test_guessed_inputs_that_do_not_fit_are_none() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3)

        def forward(self, *, image: Tensor) -> Tensor:
            return self.a(image)

    assert trace(Net()).traced_by == "modules"


def test_without_a_forward_pass_given_inputs_change_nothing() -> None:
    assert trace(nn.ModuleList([nn.Linear(3, 4)]), torch.zeros(2, 3)).traced_by == "modules"
