"""Recurrent layers as one operation each, and constants that no operator makes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from ghn.graph.record.recorder import Recorder
from ghn.graph.record.recurrent import RECURRENT, RecordedFunctions, cells
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, chain, isomorphic, named

LAYERS: dict[str, Any] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": nn.RNN,
    "rnn_relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2},
    {"bidirectional": True},
    {"batch_first": True, "bias": False},
    {"num_layers": 2, "bidirectional": True, "bias": False, "batch_first": True},
]


def recorded(layer: nn.Module, sequence: Any) -> tuple[Recorder, Any]:
    recorder = Recorder()
    recorder.know(*layer.parameters())
    with torch.no_grad(), recorder, RecordedFunctions(recorder):
        result = layer(sequence)
    return recorder, result


def shapes(result: Any) -> Any:
    return [tuple(part.shape) if isinstance(part, torch.Tensor) else shapes(part) for part in result]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_shapes_without_numbers_are_those_with(name: str, options: dict[str, Any]) -> None:
    layer = LAYERS[name](3, 4, **options)
    with torch.no_grad():
        expected = shapes(layer(torch.zeros(2, 5, 3)))
    recorder, result = recorded(layer.to("meta"), torch.zeros(2, 5, 3, device="meta"))
    assert shapes(result) == expected
    assert [operation.name for operation in recorder.graph.operations].count(name) == 1
    assert set(RECURRENT) == set(LAYERS)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("bias", [False, True])
def test_shapes_of_projected_states(bias: bool) -> None:
    layer = nn.LSTM(3, 6, proj_size=2, num_layers=2, bidirectional=True, bias=bias)
    with torch.no_grad():
        expected = shapes(layer(torch.zeros(5, 2, 3)))
    _, result = recorded(layer.to("meta"), torch.zeros(5, 2, 3, device="meta"))
    assert shapes(result) == expected


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_cells_hold_all_parameters_in_order(options: dict[str, Any], packed: bool) -> None:
    layer = nn.GRU(3, 4, **options)
    sequence = pack_sequence([torch.zeros(5, 3), torch.zeros(2, 3)]) if packed else torch.zeros(2, 5, 3)
    recorder, _ = recorded(layer, sequence)
    (operation,) = (operation for operation in recorder.graph.operations if operation.name == "gru")
    data, found, both = cells(operation.args)
    assert recorder.graph.values[data.value].shape == ((7, 3) if packed else (2, 5, 3))
    assert both == options.get("bidirectional", False)
    assert len(found) == options.get("num_layers", 1) * (1 + both)
    values = [reference.value for cell in found for reference in cell]
    assert values == [recorder.read(parameter) for parameter in layer.parameters()]


def test_constants_made_of_numbers_are_no_work_of_others() -> None:
    recorder = Recorder()
    with recorder, RecordedFunctions(recorder):
        made = torch.tensor([1.0, 2.0], device="meta")
        made + 1
    assert not recorder.graph.out_of_sight


# --- gradients inside the forward pass ---


def forces(self: Any, x: Tensor) -> Tensor:
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(self.net(x).sum(), x, create_graph=self.training)
    return -gradient


def forces_of_given_gradients(self: Any, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    energy = self.net(x)
    return torch.autograd.grad(energy, x, grad_outputs=torch.ones(energy.shape, device=x.device))[0]


def forces_by_backward(self: Any, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    self.net(x).sum().backward()
    assert x.grad is not None
    return x.grad


def forces_by_function(self: Any, x: Tensor) -> Tensor:
    return torch.func.vmap(torch.func.grad(lambda one: self.net(one).sum()))(x)


def laplacian(self: Any, x: Tensor) -> Tensor:
    x = x.requires_grad_()
    (first,) = torch.autograd.grad(self.net(x).sum(), x, create_graph=True)
    return torch.autograd.grad(first.sum(), x, create_graph=True)[0].sum(-1)


def _energy(self: Any) -> Any:
    return lambda one: self.net(one).sum()


def laplacian_by_function(self: Any, x: Tensor) -> Tensor:
    return torch.func.vmap(lambda one: torch.func.hessian(_energy(self))(one).diagonal().sum())(x)


def second_derivatives_by_function(self: Any, x: Tensor) -> Tensor:
    first = torch.func.grad(_energy(self))
    return torch.func.grad(lambda x: first(x).sum())(x)


def curvature_by_function(self: Any, x: Tensor) -> Tensor:
    return torch.func.jvp(torch.func.grad(_energy(self)), (x,), (torch.ones_like(x),))[1]


def third_derivatives_by_function(self: Any, x: Tensor) -> Tensor:
    jacobian = torch.func.jacrev(torch.func.jacrev(torch.func.grad(_energy(self))))
    return torch.func.vmap(jacobian)(x).sum((1, 2))


@pytest.mark.parametrize(
    "forward",
    [
        laplacian_by_function,
        second_derivatives_by_function,
        curvature_by_function,
        third_derivatives_by_function,
    ],
)
def test_derivatives_of_derivatives_come_from_all_that_is_differentiated(forward: Any) -> None:
    model = Lambda(forward, net=nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1)))
    graph = trace(model, torch.zeros(4, 8))
    assert not graph.kept
    assert {node.op for node in graph.nodes} <= {"input", "conv", "bias", "sum"}


@pytest.mark.parametrize(
    "forward", [forces, forces_of_given_gradients, forces_by_backward, forces_by_function, laplacian]
)
def test_a_gradient_comes_from_all_that_is_differentiated(forward: Any) -> None:
    model = Lambda(forward, net=nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1)))
    assert chain(trace(model, torch.zeros(4, 8))) == ["input", "conv", "bias", "conv", "bias"]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_recurrent_layer_is_differentiated() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        x.requires_grad_()
        return torch.autograd.grad(self.lstm(x)[0].sum(), x)[0]

    graph = trace(Lambda(forward, lstm=nn.LSTM(8, 6)), torch.zeros(3, 2, 8))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]


def adapted(self: Any, x: Tensor) -> Tensor:
    own = dict(self.net.named_parameters())
    loss = torch.func.functional_call(self.net, own, (x,)).pow(2).mean()
    steps = torch.autograd.grad(loss, list(own.values()), create_graph=True)
    fast = {name: tensor - 0.1 * step for (name, tensor), step in zip(own.items(), steps, strict=True)}
    return torch.func.functional_call(self.net, fast, (x,))


def adapted_by_function(self: Any, x: Tensor) -> Tensor:
    own = dict(self.net.named_parameters())
    steps = torch.func.grad(lambda tensors: torch.func.functional_call(self.net, tensors, (x,)).pow(2).mean())(own)
    fast = {name: tensor - 0.1 * steps[name] for name, tensor in own.items()}
    return torch.func.functional_call(self.net, fast, (x,))


@pytest.mark.parametrize("forward", [adapted, adapted_by_function])
def test_weights_after_a_step_are_weights(forward: Any) -> None:
    model = Lambda(forward, net=nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)))
    graph = trace(model, torch.zeros(4, 8))
    assert not graph.kept
    assert [node.op for node in graph.nodes].count("conv") == 4, "once for the loss, once for the output"
    assert "msa" not in {node.op for node in graph.nodes}


# --- jagged tensors ---


class Jagged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, [2, 4]).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        return x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


def test_jagged_attention_is_what_it_is_for_padded_sequences() -> None:
    jagged = torch.nested.nested_tensor([torch.zeros(3, 8), torch.zeros(5, 8)], layout=torch.jagged)
    plain, graph = trace(Jagged(), torch.zeros(2, 5, 8)), trace(Jagged(), jagged)
    assert isomorphic(named(plain), named(graph))
    assert set(graph.parameters) == set(plain.parameters)


@pytest.mark.parametrize(
    "read",
    [
        lambda y: torch.stack([row.mean(0) for row in y.unbind()]),
        lambda y: y[0],
        lambda y: torch.nested.as_nested_tensor([row * 2 for row in y.unbind()], layout=torch.jagged),
        lambda y: nn.utils.rnn.pad_sequence((y + y).unbind()),
    ],
)
def test_jagged_tensors_that_are_taken_apart(read: Any) -> None:
    model = Lambda(lambda self, x: self.b(read(self.a(x))), a=nn.Linear(8, 6), b=nn.Linear(6, 3))
    jagged = torch.nested.nested_tensor([torch.zeros(3, 8), torch.zeros(5, 8)], layout=torch.jagged)
    assert chain(trace(model, jagged)) == ["input", "conv", "bias", "conv", "bias"]


@pytest.mark.parametrize("tied", [False, True])
def test_models_see_which_parameters_are_the_same_memory(tied: bool) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        y = self.a(x)
        first, second = self.a.weight, self.b.weight
        assert first.data_ptr() == first.data.data_ptr() == first.detach().data_ptr()
        assert first[1:].data_ptr() - first.data_ptr() == 8 * first.itemsize
        return y if first.data_ptr() == second.data_ptr() else self.b(y)

    model = Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    if tied:
        model.b.weight = model.a.weight
    graph = trace(model, torch.zeros(2, 8))
    assert graph.traced_by == "meta"
    assert chain(graph) == ["input", *["conv", "bias"] * (1 if tied else 2)]


class _OfScipy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        return torch.as_tensor(x.detach().numpy() @ weight.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None, None


@pytest.mark.parametrize(
    "elsewhere",
    [
        lambda x, _: torch.from_numpy(np.tanh(x.detach().numpy())),
        lambda x, _: torch.as_tensor(np.asarray(x.detach())),
        lambda x, _: torch.tensor([[2 * number for number in row] for row in x.tolist()]),
        _OfScipy.apply,
    ],
)
def test_features_that_go_through_other_code_come_from_the_layers_before(elsewhere: Any) -> None:
    model = Lambda(lambda self, x: self.b(elsewhere(self.a(x), self.w)), a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    model.w = nn.Parameter(torch.randn(8, 8))
    graph = trace(model, torch.zeros(2, 8))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
    assert set(graph.kept) == {"w"}


def test_numbers_that_are_only_looked_at_connect_nothing() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        y = self.a(x)
        largest = y.detach().numpy().max()
        return self.b(y) + torch.tensor([1.0, 2.0, float(largest) > 1e9])

    graph = trace(Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 3)), torch.zeros(2, 8))
    assert graph.traced_by == "real"
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
