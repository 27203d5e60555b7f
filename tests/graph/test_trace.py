"""The ladder of ways to run a model, and what tracing must leave alone."""

import random
import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.trace import TraceError, trace
from tests.graph.graphs import chain, named

IMAGE = torch.zeros(2, 3, 16, 16)


class Branching(nn.Module):
    """Control flow that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(x) if (x.sum() < 1e9).item() else x


def test_values_in_control_flow_need_a_real_run() -> None:
    graph = trace(Branching(), torch.zeros(2, 4))
    assert graph.traced_by == "real"
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]


def test_constants_in_control_flow_do_not() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.register_buffer("steps", torch.tensor(3))

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(int(self.get_buffer("steps"))):
                x = torch.relu(x)
            for scale in torch.linspace(0, 1, 3).tolist():
                x = x * scale
            return self.a(x)

    graph = trace(Model(), torch.zeros(2, 4))
    assert graph.traced_by == "meta"


@pytest.mark.parametrize("model", [nn.ModuleList([nn.Linear(2, 2)]), nn.ModuleDict({"0": nn.Linear(2, 2)})])
def test_without_a_forward_the_order_of_modules_counts(model: nn.Module) -> None:
    graph = trace(model)
    assert graph.traced_by == "modules"
    assert chain(graph) == ["input", "conv", "bias"]


def test_arguments_that_cannot_be_guessed() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
            self.gain = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor, *, size: int) -> Tensor:
            return self.norm(self.conv(x)) * size

    graph = trace(Model())
    assert graph.traced_by == "modules"
    assert chain(graph) == ["input", "conv", "bias", "bn"]
    assert graph.kept == {"gain": Reason(ReasonCode.NOT_RUN)}
    assert trace(Model(), ((IMAGE,), {"size": 3})).traced_by == "meta"


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (nn.Identity(), None, "Identity has no parameters"),
        (nn.Linear(4, 4), torch.zeros(2, 5), r"forward pass of Linear fails on float32\(2, 5\).*example_inputs"),
        (nn.Conv2d(3, 4, 3), torch.zeros(2, 3, 2, 2), "check the shapes of example_inputs"),
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


def test_outputs_of_any_structure() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 6)

        def forward(self, x: Tensor) -> dict:
            return {"features": [self.a(x), (x,)], "logits": self.b(x), "none": None, "count": 3}

    graph = trace(Model(), torch.zeros(2, 4))
    assert {name for name, spec in graph.parameters.items() if spec.head} == {"b.weight", "b.bias"}
    assert len(graph.parameters) == 4


def test_scripted_part() -> None:
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 2))
    graph = trace(model, torch.zeros(2, 4))
    assert len(graph.parameters) == 4


def test_lazy_layers() -> None:
    graph = trace(nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()), IMAGE)
    assert chain(graph) == ["input", "conv", "bias", "bn"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_guessed_inputs_have_the_precision_of_the_model(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(dtype)
    assert trace(model).traced_by == "meta"


def test_attributes_that_cannot_be_copied() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.lock = threading.Lock()
            self.features: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            with self.lock:
                self.features.append(self.a(x))
            return self.features[-1]

    model = Keeping()
    model(torch.zeros(2, 4))
    kept = model.features[0]
    trace(model, torch.zeros(2, 4))
    assert model.features == [kept]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_weight_norm_of_old() -> None:
    graph = trace(nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4))), torch.zeros(2, 4))
    assert set(graph.parameters) == {"0.bias", "0.weight_v"}


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
