"""Each rule of the vocabulary on the smallest module that shows it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.reasons import ReasonCode
from ghn.graph.trace import trace
from tests.graph.graphs import IMAGE, Lambda, chain, conv, edges, with_parameters


def test_plain_chain() -> None:
    model = nn.Sequential(conv(3, 8, bias=True), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 5))
    graph = trace(model, IMAGE)
    assert chain(graph) == ["input", "conv", "bias", "bn", "conv", "bias"]
    assert graph.nodes[3].parameters == ("1.weight", "1.bias")
    assert graph.nodes[1].shape == (8, 3, 3, 3)
    assert graph.nodes[4].shape == (5, 2048)
    assert {name for name, spec in graph.parameters.items() if spec.head} == {"4.weight", "4.bias"}
    assert not graph.kept


def test_residual_with_the_input() -> None:
    graph = trace(Lambda(lambda self, x: x + self.a(x), a=conv()), IMAGE)
    assert edges(graph) == {("input", "a.weight"), ("input", "sum"), ("a.weight", "sum")}


def test_constants_carry_no_path() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        mask = x.new_zeros(x.shape)
        mask[:, :, :8] = 1.0
        return torch.cat([self.a(x) + mask, torch.ones_like(x)], 1)

    assert chain(trace(Lambda(forward, a=conv()), IMAGE)) == ["input", "conv"]


class Gate(nn.Module):
    def __init__(self, channels_last: bool = False):
        super().__init__()
        self.body = conv(3, 8)
        self.squeeze = nn.Linear(8, 4)
        self.excite = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.body(x))
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        pooled = x.mean((1, 2) if self.channels_last else (2, 3))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))
        x = x * (gate[:, None, None] if self.channels_last else gate[:, :, None, None])
        return self.head(x.mean((1, 2) if self.channels_last else (2, 3)))


@pytest.mark.parametrize("channels_last", [False, True])
def test_channel_gate(channels_last: bool) -> None:
    graph = trace(Gate(channels_last), IMAGE)
    ops = [node.op for node in graph.nodes]
    assert ops == ["input", "conv", "conv", "bias", "conv", "bias", "cse", "glob_avg", "conv", "bias"]
    assert {("body.weight", "squeeze.weight"), ("body.weight", "cse"), ("excite.bias", "cse")} <= edges(graph)


def test_gate_of_other_features_is_no_channel_gate() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return self.a(x) * torch.sigmoid(self.c(self.b(x).mean((2, 3), keepdim=True)))

    graph = trace(Lambda(forward, a=conv(), b=conv(), c=conv(kernel=1)), IMAGE)
    assert sorted(node.op for node in graph.nodes) == ["conv", "conv", "conv", "glob_avg", "input"]


def test_position_embedding() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 4, 4)
            self.token = nn.Parameter(torch.zeros(1, 1, 8))
            self.positions = nn.Parameter(torch.zeros(1, 17, 8))
            self.norm = nn.LayerNorm(8)

        def forward(self, x: Tensor) -> Tensor:
            x = self.embed(x).flatten(2).transpose(1, 2)
            return self.norm(torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions)[:, 0]

    graph = trace(Model(), IMAGE)
    assert edges(graph) == {
        ("input", "embed.weight"),
        ("embed.weight", "embed.bias"),
        ("embed.bias", "sum"),
        ("positions", "sum"),
        ("sum", "norm.weight"),
    }
    assert graph.parameters["positions"].role is Role.POSITION
    assert graph.kept == {"token": "a token concatenated with features"}
    assert not any(spec.head for spec in graph.parameters.values())


def test_separate_bias_and_scale() -> None:
    model = Lambda(lambda self, x: self.a(x) * self.gamma + self.beta, a=conv())
    model.gamma = nn.Parameter(torch.ones(3, 1, 1))
    model.beta = nn.Parameter(torch.zeros(3, 1, 1))
    graph = trace(model, IMAGE)
    assert chain(graph) == ["input", "conv", "bias"]
    assert graph.kept == {"gamma": "an elementwise scale"}


def test_biases_after_products_of_features_are_biases() -> None:
    model = Lambda(
        lambda self, x: self.out((x.transpose(1, 2) @ self.a(x)).relu()), a=nn.Linear(4, 4), out=nn.Linear(4, 4)
    )
    graph = trace(model, torch.zeros(2, 4, 4))
    assert set(graph.parameters) == {"a.weight", "a.bias", "out.weight", "out.bias"}


def test_gate_that_is_expanded() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.fc(F.adaptive_avg_pool2d(x := self.a(x), 1).flatten(1)))
        return x * y[:, :, None, None].expand_as(x)

    graph = trace(Lambda(forward, a=conv(), fc=nn.Linear(3, 3, bias=False)), IMAGE)
    assert [node.op for node in graph.nodes] == ["input", "conv", "conv", "cse"]


@pytest.mark.parametrize("norm", [nn.LayerNorm(8, bias=False), nn.LayerNorm(8)])
def test_a_norm_takes_one_bias(norm: nn.LayerNorm) -> None:
    """Its own, or the first of those that follow; any other is a bias."""
    model = Lambda(lambda self, x: self.norm(self.a(x)) + self.first + self.second, a=nn.Linear(4, 8), norm=norm)
    graph = trace(with_parameters(model, first=(8,), second=(8,)), torch.zeros(2, 3, 4))
    biases = ["norm.bias", "first", "second"] if norm.bias is not None else ["first", "second"]
    assert chain(graph) == ["input", "conv", "bias", "ln", *(["bias"] * (len(biases) - 1))]
    assert graph.nodes[3].parameters == ("norm.weight", biases[0])
    assert [graph.parameters[name].role for name in biases] == [Role.NORM_BIAS] + [Role.BIAS] * (len(biases) - 1)
    assert [node.parameters for node in graph.nodes[4:]] == [(name,) for name in biases[1:]]


@pytest.mark.parametrize(
    ("shape", "is_position"),
    [
        ((6, 8), True),
        ((1, 6, 8), True),
        ((2, 6, 8), True),
        ((5, 1, 1, 8), False),
        ((5, 1, 6, 1), False),
        ((3, 2, 1, 1), False),
    ],
)
def test_a_position_table_matches_positions_and_channels(shape: tuple[int, ...], is_position: bool) -> None:
    """What broadcasts features along an axis of its own, and matches only one of theirs, tells no positions apart."""
    model = with_parameters(Lambda(lambda self, x: self.a(x) + self.table, a=nn.Linear(4, 8)), table=shape)
    graph = trace(model, torch.zeros(2, 6, 4))
    assert ("table" in graph.parameters) == is_position
    if is_position:
        assert graph.parameters["table"].role is Role.POSITION
    else:
        assert graph.kept["table"].code is ReasonCode.SHAPE


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_linear_layers_of_nested_features() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu()).to_padded_tensor(0.0)

    nested = torch.nested.nested_tensor([torch.zeros(3, 8), torch.zeros(5, 8)])
    graph = trace(Lambda(forward, a=nn.Linear(8, 6), b=nn.Linear(6, 3)), nested)
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
    assert graph.parameters["a.weight"].axes == (0, 1)
    assert graph.nodes[1].shape == (6, 8)


def by_integers(self: Lambda, x: Tensor) -> Tensor:
    return self.time(torch.randint(0, 10, (len(x),), device=x.device))


def by_noise(self: Lambda, x: Tensor) -> Tensor:
    return self.time.weight[(torch.rand(len(x)) * 10).long()]


def by_a_permutation(self: Lambda, x: Tensor) -> Tensor:
    return self.time.weight.index_select(0, torch.randperm(10)[: len(x)])


def by_filling(self: Lambda, x: Tensor) -> Tensor:
    steps = torch.empty(len(x), dtype=torch.long, device=x.device).random_(0, 10)
    return self.time(steps.clamp(min=1))


def by_counting(self: Lambda, x: Tensor) -> Tensor:
    return self.time(torch.arange(x.shape[1], device=x.device))[:, None]


@pytest.mark.parametrize("row", [by_integers, by_noise, by_a_permutation, by_filling, by_counting])
def test_rows_picked_by_chance_are_no_positions(row: Callable[..., Tensor]) -> None:
    """The steps of a diffusion are drawn in training."""

    def forward(self: Lambda, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x) + row(self, x)[:, None].reshape(1, -1, 8)))

    layers = {"a": nn.Linear(8, 8), "b": nn.Linear(8, 8), "time": nn.Embedding(10, 8)}
    graph = trace(Lambda(forward, **layers), torch.zeros(6, 6, 8))
    if row is by_counting:
        assert graph.parameters["time.weight"].role is Role.POSITION
    else:
        assert {name: reason.code for name, reason in graph.kept.items()} == {"time.weight": ReasonCode.LOOKUP}
