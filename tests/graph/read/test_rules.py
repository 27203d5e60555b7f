"""Each rule of the vocabulary on the smallest module that shows it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, chain, edges

IMAGE = torch.zeros(2, 3, 16, 16)


def conv(inputs: int = 3, outputs: int = 3, kernel: int = 3, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding="same", **{"bias": False, **options})


def test_plain_chain() -> None:
    model = nn.Sequential(conv(3, 8, bias=True), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 5))
    graph = trace(model, IMAGE)
    assert chain(graph) == ["input", "conv", "bias", "bn", "conv", "bias"]
    assert graph.nodes[3].parameters == ("1.weight", "1.bias")
    assert graph.nodes[1].shape == (8, 3, 3, 3)
    assert graph.nodes[4].shape == (5, 2048)
    assert {name for name, spec in graph.parameters.items() if spec.head} == {"4.weight", "4.bias"}
    assert not graph.kept


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


def test_residual_of_one_path_is_no_sum() -> None:
    graph = trace(Lambda(lambda self, x: self.a(x) + F.relu(self.a(x)), a=conv()), IMAGE)
    # A reused module is a node each time it runs; its parameter belongs to the first.
    assert [node.op for node in graph.nodes] == ["input", "conv", "conv", "sum"]
    assert [node.parameters for node in graph.nodes[1:3]] == [("a.weight",), ()]
    single = trace(Lambda(lambda self, x: (y := self.a(x)) + F.relu(y), a=conv()), IMAGE)
    assert chain(single) == ["input", "conv"]


def test_residual_with_the_input() -> None:
    graph = trace(Lambda(lambda self, x: x + self.a(x), a=conv()), IMAGE)
    assert edges(graph) == {("input", "a.weight"), ("input", "sum"), ("a.weight", "sum")}


def test_constants_carry_no_path() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        mask = x.new_zeros(x.shape)
        mask[:, :, :8] = 1.0
        return torch.cat([self.a(x) + mask, torch.ones_like(x)], 1)

    assert chain(trace(Lambda(forward, a=conv()), IMAGE)) == ["input", "conv"]


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


class Attention(nn.Module):
    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8, bias=False) for _ in range(4))
        self.table = nn.Parameter(torch.zeros(2, 5, 5))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (2, 4)).transpose(1, 2) for f in (self.q, self.k, self.v))
        if self.kind == "fused":
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.table)
        elif self.kind == "matmul":
            y = F.dropout((q @ k.transpose(-2, -1) / 2 + self.table).softmax(-1), 0.1) @ v
        else:
            scores = torch.einsum("bhqd,bhkd->bhqk", q, k) + self.table
            y = torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), v)
        return self.out(y.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("kind", ["fused", "matmul", "einsum"])
def test_attention(kind: str) -> None:
    graph = trace(Attention(kind), torch.zeros(2, 5, 8))
    assert edges(graph) == {
        *(("input", f"{name}.weight") for name in "qkv"),
        *((f"{name}.weight", "msa") for name in "qkv"),
        ("msa", "out.weight"),
    }
    assert graph.kept == {"table": "a bias of attention logits (relative positions)"}


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_fused_qkv_and_modes_of_attention_modules(need_weights: bool, training: bool) -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True).train(training)
    model = Lambda(lambda self, x: self.m(x, x, x, need_weights=need_weights)[0], m=attention)
    graph = trace(model, torch.zeros(2, 5, 8))
    assert chain(graph) == ["input", "conv", "bias", "msa", "conv", "bias"]


def test_attention_layer_in_evaluation_mode_is_not_hidden_by_its_fast_path() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    graph = trace(layer, torch.zeros(2, 5, 8))
    assert [node.op for node in graph.nodes].count("msa") == 1
    assert len(graph.parameters) == len(list(layer.parameters()))


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


def test_separate_bias_and_scale() -> None:
    model = Lambda(lambda self, x: self.a(x) * self.gamma + self.beta, a=conv())
    model.gamma = nn.Parameter(torch.ones(3, 1, 1))
    model.beta = nn.Parameter(torch.zeros(3, 1, 1))
    graph = trace(model, IMAGE)
    assert chain(graph) == ["input", "conv", "bias"]
    assert graph.kept == {"gamma": "an elementwise scale"}


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


@pytest.mark.parametrize(
    "parametrize", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm]
)
def test_reparametrised_weights(parametrize) -> None:
    graph = trace(nn.Sequential(parametrize(conv()), parametrize(nn.Linear(16, 4))), IMAGE)
    assert chain(graph) == ["input", "conv", "conv", "bias"]
    assert sum(len(spec.shape) >= 2 for spec in graph.parameters.values()) == 2


def test_standardised_weights() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            gain = self.get_parameter("gain")
            flat = self.weight.reshape(1, len(self.weight), -1)
            weight = F.batch_norm(flat, None, None, weight=gain.view(-1), training=True).reshape_as(self.weight)
            return self._conv_forward(x, weight, self.bias)

    layer = Standardised(3, 8, 3)
    layer.gain = nn.Parameter(torch.ones(8, 1, 1, 1))
    graph = trace(nn.Sequential(layer), IMAGE)
    assert chain(graph) == ["input", "conv", "bias"]
    assert graph.kept == {"0.gain": "reparametrises 0.weight"}


def test_pooled_head_convolution() -> None:
    model = nn.Sequential(
        conv(3, 8), nn.ReLU(), conv(8, 5, 1, bias=True), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    graph = trace(model, IMAGE)
    assert chain(graph) == ["input", "conv", "glob_avg", "conv", "bias"]
    assert graph.parameters["2.weight"].head
    assert graph.parameters["2.bias"].head


def test_written_slices() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        first, second = self.a(x).chunk(2, 1)
        out = torch.zeros(2, 6, 16, 16)
        out[:, :3] = first.relu_()
        out[:, 3:] = self.b(second)
        return self.c(out)

    graph = trace(Lambda(forward, a=conv(3, 6), b=conv(3, 3), c=conv(6, 6)), IMAGE)
    assert edges(graph) == {
        ("input", "a.weight"),
        ("a.weight", "b.weight"),
        ("a.weight", "c.weight"),
        ("b.weight", "c.weight"),
    }


def test_writing_to_one_half_leaves_the_other() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        first, second = self.a(x).chunk(2, 1)
        first += self.b(x)
        return self.c(second)

    graph = trace(Lambda(forward, a=conv(3, 6), b=conv(3, 3), c=conv(3, 3)), IMAGE)
    assert chain(graph) == ["input", "conv", "conv"]
    assert graph.kept == {"b.weight": "unused: no path to the output"}


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.ConvTranspose2d(3, 5, 3, bias=False), (2, 3, 8, 8), (1, 0, 2, 3)),
        (nn.Conv1d(3, 5, 3, bias=False), (2, 3, 8), (0, 1, 2)),
        (nn.Conv3d(3, 5, 3, bias=False), (2, 3, 8, 8, 8), (0, 1, 2, 3, 4)),
        (nn.Linear(3, 5, bias=False), (2, 3), (0, 1)),
        (nn.Linear(3, 3, bias=False), (2, 7, 3), (0, 1)),
    ],
)
def test_axes_of_layers(layer: nn.Module, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    graph = trace(nn.Sequential(layer), torch.zeros(shape))
    assert graph.parameters["0.weight"].axes == axes
    assert graph.nodes[1].shape == graph.parameters["0.weight"].canonical_shape


@pytest.mark.parametrize(
    ("equation", "shape", "axes", "stack"),
    [
        ("bnd,dk->bnk", (6, 4), (1, 0), 0),
        ("bnd,kd->bnk", (4, 6), (0, 1), 0),
        ("bnd,dd->bnd", (6, 6), (1, 0), 0),
        ("bnd,dhk->bnhk", (6, 2, 3), (1, 2, 0), 1),
        ("bhnd,hdk->bhnk", (5, 6, 4), (0, 2, 1), 1),
    ],
)
def test_axes_of_products(equation: str, shape: tuple[int, ...], axes: tuple[int, ...], stack: int) -> None:
    model = Lambda(lambda self, x: torch.einsum(equation.replace("dd->bnd", "de->bne"), x, self.weight))
    model.weight = nn.Parameter(torch.zeros(shape))
    x = torch.zeros(2, 5, 7, 6) if equation.startswith("bh") else torch.zeros(2, 7, 6)
    spec = trace(model, x).parameters["weight"]
    assert (spec.axes, spec.stack) == (axes, stack)


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


def test_averaged_heads() -> None:
    model = Lambda(lambda self, x: (self.a(x) + self.b(x)) / 2, a=nn.Linear(4, 3), b=nn.Linear(4, 3))
    graph = trace(model, torch.zeros(2, 4))
    assert {name for name, spec in graph.parameters.items() if spec.head} == set(graph.parameters)


def test_reused_module_whose_first_result_is_not_used() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        self.enc(x).norm()
        return self.head(self.enc(x).relu())

    graph = trace(Lambda(forward, enc=nn.Linear(4, 4), head=nn.Linear(4, 2)), torch.zeros(2, 4))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
    assert len(graph.parameters) == 4


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


def test_sum_of_attention_maps() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        content = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        return (content + self.positions(x).softmax(-1)) @ self.v(x)

    layers = {name: nn.Linear(4, 4, bias=False) for name in ("q", "k", "positions", "v")}
    graph = trace(Lambda(forward, **layers), torch.zeros(2, 4, 4))
    assert {("sum", "msa"), ("v.weight", "msa"), ("q.weight", "sum"), ("positions.weight", "sum")} <= edges(graph)


def test_residual_branches_are_no_heads() -> None:
    model = Lambda(lambda self, x: (y := self.e(x)) + self.b(y), e=nn.Linear(4, 4), b=nn.Linear(4, 4))
    graph = trace(model, torch.zeros(2, 4))
    assert not any(spec.head for spec in graph.parameters.values())
    both = Lambda(
        lambda self, x: torch.cat([self.a(x).relu(), self.b(x).relu()], 1), a=nn.Linear(4, 3), b=nn.Linear(4, 3)
    )
    assert not any(spec.head for spec in trace(both, torch.zeros(2, 4)).parameters.values())


def test_normalisation_over_channels_first_is_no_pooling() -> None:
    model = Lambda(lambda self, x: (y := self.a(x)) - y.mean(1, keepdim=True), a=nn.Conv1d(3, 4, 3, bias=False))
    assert chain(trace(model, torch.zeros(2, 3, 9))) == ["input", "conv"]
