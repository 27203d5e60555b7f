"""The ways to run a model."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.graph.run.arguments import Inputs
from ghn.graph.run.rungs import RUNGS
from ghn.graph.trace import trace
from tests.graph.graphs import chain

# Tracing ignores what runs warn of.
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")


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


class Shaped(nn.Module):
    """A layer that notes how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.register_buffer("offsets", torch.arange(4))
        self.called: list[tuple[str, str, bool, bool]] = []
        self.expected = False

    def forward(self, x: Tensor) -> Tensor:
        offsets = self.get_buffer("offsets")
        self.called.append((x.device.type, type(x).__name__, self.training, torch.is_grad_enabled()))
        assert offsets.tolist() == [0, 1, 2, 3]
        assert self.training == self.expected
        return self.norm(self.a(x)) + offsets


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rung", ["meta", "guess", "real"])
def test_every_rung_gives_the_same_record(rung: str, training: bool) -> None:
    model = Shaped().train(not training)
    model.expected = training
    x = torch.ones(2, 4)
    record = RUNGS[rung](model, Inputs((x,)), training)
    assert list(record.parameters) == [name for name, _ in model.named_parameters()]
    assert record.parameters_used == 4
    norm = next(operation for operation in record.operations if "batch_norm" in operation.name)
    assert [record.values[value].shape for value in norm.outputs[:1]] == [(2, 4)]
    assert [record.values[value].shape for value in (*record.inputs, *record.outputs)] == [(2, 4), (2, 4)]
    assert (model.called, model.training, x.sum()) == ([], not training, 8)
    assert model.norm.num_batches_tracked == 0


def test_fake_tensors_run_where_meta_tensors_do_not() -> None:
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            if x.device.type != "cpu":
                raise NotImplementedError("only on the CPU")
            return self.a(x)

    inputs = Inputs((torch.zeros(2, 4),))
    with pytest.raises(NotImplementedError):
        RUNGS["meta"](Strict(), inputs, False)
    assert RUNGS["fake"](Strict(), inputs, False).parameters_used == 2
    assert trace(Strict(), torch.zeros(2, 4)).traced_by == "fake"


def test_order_is_from_the_cheapest_to_the_one_that_runs_anything() -> None:
    assert list(RUNGS) == ["meta", "guess", "fake", "real"]


@pytest.mark.parametrize("result", [None, (), {"a": 3}, "text"])
def test_models_that_return_no_tensor(result: Any) -> None:
    class Silent(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            super().forward(x)
            return result

    with pytest.raises(ValueError, match="Silent returns no tensor"):
        RUNGS["meta"](Silent(2, 2), Inputs((torch.zeros(1, 2),)), False)


# Fake tensors cannot stand for parameters without a shape: that rung fails, and the next one runs.
@pytest.mark.parametrize("rung", ["meta", "guess", "real"])
def test_lazy_layers_get_their_shapes_in_the_copy_alone(rung: str) -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    record = RUNGS[rung](model, Inputs((torch.zeros(2, 5),)), True)
    assert [record.values[value].shape for value in record.parameters.values()] == [(3, 5), (3,), (3,), (3,)]
    assert all(is_lazy(parameter) for parameter in model.parameters())


def test_tied_parameters_are_one_value_under_the_first_name() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    record = RUNGS["meta"](model, Inputs((torch.zeros(2, 4),)), False)
    assert list(record.parameters) == ["0.weight"]


def test_answers_are_no_then_yes() -> None:
    class Asking(nn.Module):
        """One way fails, the other leaves a layer out."""

        def __init__(self, forbidden: bool) -> None:
            super().__init__()
            self.a, self.b, self.forbidden = nn.Linear(4, 4), nn.Linear(4, 4), forbidden

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            answer = bool((x > 0).all())
            if answer == self.forbidden:
                raise ArithmeticError(str(answer))
            return self.b(x) if answer else x

    inputs = Inputs((torch.zeros(2, 4),))
    assert RUNGS["guess"](Asking(forbidden=False), inputs, False).parameters_used == 4
    record = RUNGS["guess"](Asking(forbidden=True), inputs, False)
    assert (record.parameters_used, record.rests_on_a_guess) == (2, True)
