"""The ways to run a model."""

import contextvars
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from ghn.graph.run.arguments import Inputs
from ghn.graph.run.rungs import RUNGS
from ghn.graph.trace import TraceError, trace
from ghn.hypernet import GHN, GHNConfig
from ghn.initialization import initialize
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


class Asking(nn.Module):
    """Does something more with what will be differentiated."""

    def __init__(self, more: Any) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.more(self, self.a(x)))


def _with_hook(model: Any, x: Tensor) -> Tensor:
    x.register_hook(lambda gradient: gradient)
    return x


def _with_gradient_kept(model: Any, x: Tensor) -> Tensor:
    x.retain_grad()
    return x


def _if_differentiated(model: Any, x: Tensor) -> Tensor:
    return model.a(x) if x.requires_grad else x.detach()


@pytest.mark.parametrize("more", [_with_hook, _with_gradient_kept, _if_differentiated])
def test_what_asks_for_gradients_runs_with_them(more: Any) -> None:
    model = Asking(more)
    graph = trace(model, torch.zeros(2, 4))
    assert graph.traced_by == "meta"
    assert not graph.kept
    assert all(parameter.grad is None and not parameter._backward_hooks for parameter in model.parameters())


def test_context_variables_are_those_of_the_user() -> None:
    state: contextvars.ContextVar[Any] = contextvars.ContextVar("state", default=None)

    def once(model: Any, x: Tensor) -> Tensor:
        if state.get() is None:
            state.set(x)
            return x
        return model.a(x)

    graph = trace(Asking(once), torch.zeros(2, 4))
    assert state.get() is None
    assert chain(graph) == chain(trace(Asking(once), torch.zeros(2, 4)))


class Own(nn.Module):
    """Takes what the process holds of a sharded weight."""

    def __init__(self, weight: Tensor, take: Any) -> None:
        super().__init__()
        self.weight, self.take = nn.Parameter(weight), take

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x @ self.take(self.weight))


@pytest.mark.filterwarnings("ignore:DTensor random operators:UserWarning")
@pytest.mark.parametrize("take", [lambda weight: weight.full_tensor(), lambda weight: weight.to_local()])
def test_the_whole_of_a_sharded_parameter_is_that_parameter(mesh: Any, take: Any) -> None:
    from torch.distributed.tensor import Shard, distribute_tensor

    model = Own(distribute_tensor(torch.ones(4, 4), mesh, [Shard(0)]), take)
    assert list(trace(model, torch.zeros(2, 4)).parameters) == ["weight"]


@pytest.mark.filterwarnings("ignore:DTensor random operators:UserWarning")
def test_a_part_of_a_sharded_parameter_is_refused_by_name(mesh: Any) -> None:
    from torch.distributed.tensor import DTensor, Shard

    part = DTensor.from_local(torch.ones(4, 4), mesh, [Shard(0)], shape=torch.Size((8, 4)), stride=(4, 1))
    with pytest.raises(TraceError, match="the part of weight that one process holds"):
        trace(Own(part, lambda weight: weight.to_local()), torch.zeros(2, 4))


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:FutureWarning", "ignore:`torch.jit.trace:DeprecationWarning")
def test_traced_scripts() -> None:
    model = torch.jit.trace(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), torch.zeros(2, 4))  # type: ignore[no-untyped-call]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert len(trace(model, torch.zeros(2, 4)).parameters) == 4
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_nested_tensors_that_a_model_makes_run() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            nested = torch.nested.nested_tensor([x[:1], x])
            return self.b(self.a(nested).to_padded_tensor(0.0))

    graph = trace(Model(), torch.zeros(2, 4))
    assert graph.traced_by == "real"
    assert {"b.weight", "b.bias"} <= set(graph.parameters)


class Attention(nn.Module):
    """Fused attention between two layers."""

    def __init__(self, *, masked: bool = False, **how: Any) -> None:
        super().__init__()
        self.query, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.masked, self.how = masked, how

    def forward(self, x: Tensor) -> Tensor:
        x = self.query(x)
        mask = torch.ones(4, 4, dtype=torch.bool, device=x.device) if self.masked else None
        return self.head(functional.scaled_dot_product_attention(x, x, x, attn_mask=mask, **self.how))


@pytest.mark.parametrize("how", [{}, {"is_causal": True}, {"dropout_p": 0.1}, {"scale": 0.5}, {"masked": True}])
@pytest.mark.parametrize("rung", [rung for rung in RUNGS if rung != "meta"])
def test_fused_attention_is_taken_apart_alike_on_every_rung(rung: str, how: dict[str, Any]) -> None:
    """Fake tensors ask for their device by an operator that no dispatcher knows."""

    def computed(run: Any) -> list[str]:
        record = run(Attention(**how), Inputs((torch.zeros(2, 4, 8),)), True)
        return [operation.name for operation in record.operations if operation.name not in LAYOUT]

    found = computed(RUNGS[rung])
    assert found == computed(RUNGS["meta"])
    assert found.count("bmm") == 2


LAYOUT = ("view", "_unsafe_view", "new_empty")
"""What rungs do in their own way: it moves no numbers."""


def test_weights_that_accelerate_keeps_elsewhere_are_the_modules_own(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    expected = trace(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), torch.zeros(2, 8))
    for offload in (accelerate.cpu_offload, lambda model: accelerate.disk_offload(model, tmp_path)):
        model, x = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), torch.ones(2, 8)
        offload(model)
        before = model(x)
        graph = trace(model, x)
        assert (graph.traced_by, list(graph.parameters), graph.kept) == ("meta", list(expected.parameters), {})
        assert [node.op for node in graph.nodes] == [node.op for node in expected.nodes]
        assert torch.equal(model(x), before)
        with pytest.raises(ValueError, match=r"0\.weight is on the meta device"):
            initialize(GHN(GHNConfig(hidden=8, layers=1, heads=2, max_channels=8, num_classes=3)), model, x)


def test_what_a_user_runs_around_a_module_is_part_of_it() -> None:
    hooks = pytest.importorskip("accelerate.hooks")

    class Doubled(hooks.ModelHook):  # type: ignore[name-defined, misc]
        def post_forward(self, module: nn.Module, output: torch.Tensor) -> torch.Tensor:
            return functional.avg_pool1d(output[None], 3, 1, 1)[0]

    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
    hooks.add_hook_to_module(model[0], Doubled())
    assert "avg_pool" in [node.op for node in trace(model, torch.ones(2, 8)).nodes]
