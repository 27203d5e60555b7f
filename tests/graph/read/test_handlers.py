"""What each operator is, on the smallest module that calls it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.trace import trace
from tests.graph.graphs import IMAGE, Lambda, chain, conv, edges, with_parameters


@pytest.mark.parametrize(
    ("options", "op"),
    [
        ({"groups": 3}, "sep_conv"),
        ({"groups": 3, "dilation": 2}, "dil_conv"),
        ({"groups": 3, "dilation": (1, 2)}, "sep_conv"),
        ({"dilation": 2}, "conv"),
    ],
)
def test_kinds_of_convolution(options: dict, op: str) -> None:
    graph = trace(nn.Sequential(conv(3, 6, **options)), IMAGE)
    assert chain(graph) == ["input", op]


def test_concatenation_and_pools() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return torch.cat([F.max_pool2d(self.a(x), (2, 4)), F.avg_pool2d(self.b(x), (2, 4))], 1).mean((2, 3))

    graph = trace(Lambda(forward, a=conv(), b=conv()), IMAGE)
    assert edges(graph) == {
        ("input", "a.weight"),
        ("input", "b.weight"),
        ("a.weight", "max_pool"),
        ("b.weight", "avg_pool"),
        ("max_pool", "concat"),
        ("avg_pool", "concat"),
        ("concat", "glob_avg"),
    }
    assert {node.shape for node in graph.nodes if node.op.endswith("pool")} == {(1, 1, 2, 4)}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("layer", "ops"),
    [
        (nn.LSTM(3, 4, batch_first=True), ["conv", "bias", "conv", "bias"]),
        (nn.GRU(3, 4, bias=False, num_layers=2), ["conv"] * 4),
        (nn.RNN(3, 4), ["conv", "bias", "conv", "bias"]),
        (nn.LSTM(3, 6, proj_size=2), ["conv", "bias", "conv", "bias", "conv"]),
    ],
)
def test_recurrent_layers(layer: nn.Module, ops: list[str], device: str) -> None:
    model = Lambda(lambda self, x: self.head(self.rnn(x)[0]), rnn=layer)
    width = int(layer.proj_size or layer.hidden_size)  # type: ignore[arg-type]
    model.head = nn.Linear(width, 2, bias=False)
    assert chain(trace(model.to(device), torch.zeros(2, 5, 3))) == ["input", *ops, "conv"]


def test_two_directions() -> None:
    model = Lambda(lambda self, x: self.rnn(x)[0], rnn=nn.GRU(3, 4, bidirectional=True, bias=False))
    graph = trace(model, torch.zeros(2, 5, 3))
    assert [node.op for node in graph.nodes] == ["input", "conv", "conv", "conv", "conv", "concat"]
    assert len(graph.parameters) == 4


def test_normalisations_written_out() -> None:
    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))
            self.bias = nn.Parameter(torch.zeros(8))

        def forward(self, x: Tensor) -> Tensor:
            x = x - x.mean(-1, keepdim=True)
            return x / (x.var(-1, keepdim=True) + 1e-5).sqrt() * self.weight + self.bias

    model = nn.Sequential(nn.Linear(8, 8), nn.RMSNorm(8), nn.Linear(8, 8), Norm(), nn.GroupNorm(2, 8))
    graph = trace(model, torch.zeros(4, 8))
    assert chain(graph) == ["input", "conv", "bias", "ln", "conv", "bias", "ln", "ln"]
    assert graph.parameters["3.bias"].role is Role.NORM_BIAS


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.InstanceNorm2d(3, affine=True), IMAGE.shape),
        (nn.BatchNorm1d(3), (4, 3, 7)),
        (nn.BatchNorm3d(3), (2, 3, 4, 4, 4)),
    ],
)
def test_batch_norms(layer: nn.Module, shape: tuple[int, ...]) -> None:
    graph = trace(nn.Sequential(layer), torch.zeros(shape))
    assert chain(graph) == ["input", "bn"]
    assert {spec.role for spec in graph.parameters.values()} == {Role.NORM_WEIGHT, Role.NORM_BIAS}


def test_looked_up_positions_and_words() -> None:
    def forward(self: Lambda, tokens: Tensor) -> Tensor:
        return self.out(self.words(tokens) + self.positions(torch.arange(tokens.shape[1])))

    model = Lambda(forward, words=nn.Embedding(50, 8), positions=nn.Embedding(10, 8), out=nn.Linear(8, 4))
    graph = trace(model, torch.zeros(2, 6, dtype=torch.long))
    assert edges(graph) == {
        ("input", "sum"),
        ("positions.weight", "sum"),
        ("sum", "out.weight"),
        ("out.weight", "out.bias"),
    }
    assert list(graph.kept) == ["words.weight"]


def test_tied_lookup_is_not_predicted() -> None:
    model = Lambda(lambda self, t: F.linear(self.mid(self.words(t)), self.words.weight), words=nn.Embedding(50, 8))
    model.mid = nn.Linear(8, 8)
    graph = trace(model, torch.zeros(2, 6, dtype=torch.long))
    assert chain(graph) == ["input", "conv", "bias", "conv"]
    assert list(graph.kept) == ["words.weight"]


@pytest.mark.parametrize(
    ("function", "ops"),
    [
        (lambda self, x: F.conv2d(x, self.kernel), ["conv"]),
        (lambda self, x: F.conv_transpose2d(x, self.kernel), ["conv"]),
        (lambda self, x: torch.addmm(self.vector, x.flatten(2)[0].T, self.matrix), ["conv", "bias"]),
        (lambda self, x: torch.addmm(self.vector, x.flatten(2)[0].T, self.matrix, beta=0), ["conv"]),
        (lambda self, x: F.linear(x.mean((2, 3)), self.matrix, self.vector), ["glob_avg", "conv", "bias"]),
        (lambda self, x: x.flatten(2)[0].T @ self.vector, []),
        (lambda self, x: self.vector[:, None, None] - x, ["bias"]),
        (lambda self, x: x * x, []),
        (lambda self, x: x * 3, []),
        (lambda self, x: F.layer_norm(x, x.shape[1:]), []),
        (lambda self, x: F.batch_norm(x, None, None, self.vector, training=True), ["bn"]),
        (lambda self, x: torch.addcmul(self.vector[:, None, None], x, self.vector[:, None, None]), ["bias"]),
        (lambda self, x: torch.addcmul(x, x.exp(), x.sin()), []),
        (lambda self, x: F.embedding(torch.arange(2), self.matrix) + x.mean((2, 3)), ["glob_avg", "pos_enc", "sum"]),
    ],
)
def test_operators_called_directly(function, ops: list[str]) -> None:
    model = with_parameters(Lambda(function), kernel=(3, 3, 3, 3), matrix=(3, 3), vector=(3,))
    assert [node.op for node in trace(model, IMAGE).nodes][1:] == ops


def test_offsets_of_deformable_convolutions_are_paths() -> None:
    ops = pytest.importorskip("torchvision").ops
    model = Lambda(lambda self, x: self.deform(x, self.offset(x)), offset=conv(3, 18), deform=None)
    model.deform = ops.DeformConv2d(3, 4, 3, padding=1)
    graph = trace(model, IMAGE)
    assert edges(graph) == {
        ("input", "offset.weight"),
        ("input", "deform.weight"),
        ("offset.weight", "deform.weight"),
        ("deform.weight", "deform.bias"),
    }
