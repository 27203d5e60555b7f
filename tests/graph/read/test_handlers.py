"""What each operator is, on the smallest module that calls it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.reasons import ReasonCode
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


# --- parts written into a tensor ---


def narrowed(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    joined.narrow(1, 0, 4).copy_(first)
    joined[:, 4:].add_(second)
    return joined


def narrowed_twice(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    joined.narrow(1, 0, 4).copy_(first)
    joined[:2][:, 4:].mul_(0).add_(second)
    return joined


def interleaved(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    joined[:, ::2], joined[:, 1::2] = first, second
    return joined


def views_written(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    for view, part in zip(joined.split(4, 1), (first, second), strict=True):
        view.copy_(part)
    return joined


def scattered(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.slice_scatter(torch.slice_scatter(joined, first, 1, 0, 4), second, 1, 4, 8)


def at_places(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    joined[:, [0, 1, 2, 3]], joined[:, [4, 5, 6, 7]] = first, second
    return joined


def copied_to_places(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    joined.index_copy_(1, torch.arange(4), first)
    return joined.index_copy_(1, torch.arange(4, 8), second)


def written_over(joined: Tensor, first: Tensor, second: Tensor) -> Tensor:
    joined[:, :4], joined[:, 4:] = second.detach() * 2, second
    joined[:, :4] = first
    return joined


@pytest.mark.parametrize(
    "write",
    [narrowed, narrowed_twice, interleaved, views_written, scattered, at_places, copied_to_places, written_over],
)
def test_parts_written_into_a_tensor_are_concatenated(write) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return self.head(write(x.new_zeros(2, 8, 16, 16), self.a(x), self.b(x)))

    graph = trace(Lambda(forward, a=conv(3, 4), b=conv(3, 4), head=conv(8, 5)), IMAGE)
    assert edges(graph) == {
        ("input", "a.weight"),
        ("input", "b.weight"),
        ("a.weight", "concat"),
        ("b.weight", "concat"),
        ("concat", "head.weight"),
    }


def test_however_many_are_written_they_are_one_concatenation() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        joined = x.new_empty(2, 12, 16, 16)
        for number, branch in enumerate((self.a, self.b, self.c)):
            joined[:, 4 * number : 4 * number + 4] = branch(x)
        return self.head(joined)

    graph = trace(Lambda(forward, a=conv(3, 4), b=conv(3, 4), c=conv(3, 4), head=conv(12, 5)), IMAGE)
    assert [node.op for node in graph.nodes].count("concat") == 1
    assert {edge for edge in edges(graph) if edge[1] == "concat"} == {(f"{name}.weight", "concat") for name in "abc"}


def test_what_is_left_of_a_tensor_is_a_part_and_what_is_gone_is_none() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        y = self.a(x)
        y[:, :2] = self.b(x)
        return self.head(y)

    modules = {"a": conv(3, 4), "b": conv(3, 2), "head": conv(4, 5)}
    assert ("a.weight", "concat") in edges(trace(Lambda(forward, **modules), IMAGE))

    def forward_whole(self: Lambda, x: Tensor) -> Tensor:
        y = self.a(x)
        y[:, :2], y[:, 2:] = self.b(x), self.c(x)
        return self.head(y)

    graph = trace(Lambda(forward_whole, **modules, c=conv(3, 2)), IMAGE)
    assert graph.kept["a.weight"].code is ReasonCode.UNUSED


# --- stacked biases ---


def fused(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias, x, weight)


def added(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x @ weight + bias


def mapped(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.func.vmap(lambda x, weight, bias: F.linear(x, weight.t(), bias[0]))(x, weight, bias)


@pytest.mark.parametrize("layer", [fused, added, mapped])
def test_biases_of_a_stack_of_layers(layer) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        x = layer(x.expand(4, *x.shape), self.w, self.b).relu()
        return layer(x, self.v, self.c).mean(0)

    model = with_parameters(Lambda(forward), w=(4, 8, 16), b=(4, 1, 16), v=(4, 16, 3), c=(4, 1, 3))
    graph = trace(model, torch.zeros(5, 8))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
    assert graph.parameters["b"].role is graph.parameters["c"].role is Role.BIAS


def test_modules_stacked_for_one_call() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        own = [dict(member.named_parameters()) for member in self.members]
        stacked = {name: torch.stack([tensors[name] for tensors in own]) for name in own[0]}
        call = torch.func.functional_call
        return torch.func.vmap(lambda tensors: call(self.members[0], tensors, (x,)))(stacked).mean(0)

    members = nn.ModuleList(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)) for _ in range(3))
    graph = trace(Lambda(forward, members=members), torch.zeros(5, 8))
    assert not graph.kept
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]


@pytest.mark.skipif(not hasattr(torch, "_grouped_mm"), reason="this version of PyTorch has no grouped products")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_experts_that_rows_are_sorted_by_are_a_stack_of_layers(dtype: torch.dtype) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        weights, chosen = self.router(x).softmax(-1).max(-1)
        order = chosen.argsort()
        ends = torch.histc(chosen.float(), bins=4, min=0, max=3).cumsum(0).to(torch.int32)
        y = torch._grouped_mm(x[order].to(dtype), self.w.to(dtype), offs=ends).relu()
        y = torch._grouped_mm(y, self.v.to(dtype).transpose(1, 2), offs=ends).to(x.dtype)
        return x + (y * weights[order, None])[order.argsort()]

    model = with_parameters(Lambda(forward, router=nn.Linear(16, 4)), w=(4, 16, 32), v=(4, 16, 32))
    graph = trace(model, torch.zeros(8, 16))
    assert (graph.traced_by, dict(graph.kept)) == ("meta", {})
    first, second = graph.parameters["w"], graph.parameters["v"]
    assert (first.stack, first.axes, first.role) == (1, (0, 2, 1), Role.WEIGHT)
    assert (second.stack, second.axes) == (1, (0, 1, 2))
    assert [graph.nodes[spec.node].shape for spec in (first, second)] == [(128, 16), (64, 32)]
