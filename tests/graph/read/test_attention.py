"""Attention however it is written: one `msa` node, fed by queries, keys and values."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph.reasons import ReasonCode
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, chain, edges, with_parameters

Weights = Callable[[Tensor], Tensor]
Step = Callable[[Tensor, Tensor], Tensor]

SCORES: dict[str, Step] = {
    "matrix product": lambda q, k: q @ k.transpose(-2, -1),
    "einsum": lambda q, k: torch.einsum("bqd,bkd->bqk", q, k),
    "product and sum": lambda q, k: (q[:, :, None] * k[:, None]).sum(-1),
    "sum kept": lambda q, k: (q[:, :, None] * k[:, None]).sum(dim=[-1], keepdim=True)[..., 0] / 2,
    "cosines": lambda q, k: F.cosine_similarity(q[:, :, None], k[:, None], dim=-1),
}


def exponentials(s: Tensor) -> Tensor:
    e = s.exp()
    return e / e.sum(-1, keepdim=True)


def shifted(s: Tensor) -> Tensor:
    e = torch.exp(s - s.amax(-1, keepdim=True))
    return e / (e.sum(-1, keepdim=True) + 1e-6)


def shifted_by_maximum(s: Tensor) -> Tensor:
    e = torch.exp(s - s.max(-1, keepdim=True)[0].detach())
    e /= e.sum(-1).unsqueeze(-1)
    return e


def reciprocal(s: Tensor) -> Tensor:
    e = s.exp()
    return e * (1 / e.sum(-1, keepdim=True))


def masked_exponentials(s: Tensor) -> Tensor:
    e = s.exp() * torch.ones_like(s).tril()
    return e / e.sum(-1, keepdim=True).clamp(min=1e-6)


SOFTMAXES: dict[str, Weights] = {
    "softmax": lambda s: s.softmax(-1),
    "exponentials": exponentials,
    "shifted": shifted,
    "shifted by maximum": shifted_by_maximum,
    "reciprocal": reciprocal,
    "masked exponentials": masked_exponentials,
    "logarithms": lambda s: s.log_softmax(-1).exp(),
    "logsumexp": lambda s: (s - s.logsumexp(-1, keepdim=True)).exp(),
}

SUMS: dict[str, Step] = {
    "matrix product": lambda w, v: w @ v,
    "einsum": lambda w, v: torch.einsum("bqk,bkd->bqd", w, v),
    "product and sum": lambda w, v: (w[..., None] * v[:, None]).sum(2),
    "dropped": lambda w, v: (v[:, None] * F.dropout(w, 0.1)[..., None]).sum(-2),
}


def attention(scores: Step, weights: Weights, mix: Step) -> Lambda:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return self.out(mix(weights(scores(self.q(x), self.k(x))), self.v(x)))

    return Lambda(forward, **{name: nn.Linear(8, 8, bias=False) for name in ("q", "k", "v", "out")})


def is_attention(model: nn.Module, inputs: Tensor) -> bool:
    graph = trace(model, inputs)
    return edges(graph) == {
        *(("input", f"{name}.weight") for name in "qkv"),
        *((f"{name}.weight", "msa") for name in "qkv"),
        ("msa", "out.weight"),
    }


TOKENS = torch.zeros(2, 5, 8)


@pytest.mark.parametrize("mix", SUMS)
@pytest.mark.parametrize("weights", SOFTMAXES)
@pytest.mark.parametrize("scores", SCORES)
def test_every_way_to_write_attention(scores: str, weights: str, mix: str) -> None:
    assert is_attention(attention(SCORES[scores], SOFTMAXES[weights], SUMS[mix]), TOKENS)


@pytest.mark.parametrize("scores", SCORES)
def test_sum_of_exponentials_divides_the_result(scores: str) -> None:
    def mix(s: Tensor, v: Tensor) -> Tensor:
        e = (s - s.amax(-1, keepdim=True)).exp()
        return (e @ v) / e.sum(-1, keepdim=True)

    assert is_attention(attention(SCORES[scores], lambda s: s, mix), TOKENS)


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("mask", ["filled", "chosen", "added", "multiplied"])
def test_masks_computed_from_data(scores: str, mask: str) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        s = SCORES[scores](self.q(x), self.k(x))
        hidden = (x.abs().sum(-1) > 0)[:, None]
        if mask == "filled":
            s = s.masked_fill(~hidden, -1e9)
        elif mask == "chosen":
            s = torch.where(hidden, s, torch.full_like(s, -1e9))
        elif mask == "added":
            s = s + (1 - hidden.float()) * -1e9
        weights = s.softmax(-1)
        if mask == "multiplied":
            weights = weights * hidden
            weights = weights / weights.sum(-1, keepdim=True)
        return self.out(weights @ self.v(x))

    model = Lambda(forward, **{name: nn.Linear(8, 8, bias=False) for name in ("q", "k", "v", "out")})
    assert is_attention(model, TOKENS)


@pytest.mark.parametrize("weights", SOFTMAXES)
def test_relative_positions_are_no_position_embedding(weights: str) -> None:
    model = attention(SCORES["product and sum"], lambda s: s, SUMS["matrix product"])
    with_parameters(model, table=(1, 5, 5))

    def forward(self: Lambda, x: Tensor) -> Tensor:
        scores = SCORES["product and sum"](self.q(x), self.k(x)) + self.table
        return self.out(SOFTMAXES[weights](scores) @ self.v(x))

    model.function = forward
    assert is_attention(model, TOKENS)
    assert trace(model, TOKENS).kept == {"table": "a bias of attention logits (relative positions)"}


@pytest.mark.parametrize("fused", [False, True])
def test_separable_attention(fused: bool) -> None:
    # MobileViT v2: one score for each token, whose weights pool the keys; the context then scales the values.
    def forward(self: Lambda, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).split([1, 8, 8], -1)
        context = q.softmax(1).transpose(1, 2) @ k if fused else (k * q.softmax(1)).sum(1, keepdim=True)
        return self.out(F.relu(v) * context)

    model = Lambda(forward, qkv=nn.Linear(8, 17, bias=False), out=nn.Linear(8, 8, bias=False))
    assert edges(trace(model, TOKENS)) == {
        ("input", "qkv.weight"),
        ("qkv.weight", "msa"),
        ("qkv.weight", "out.weight"),
        ("msa", "out.weight"),
    }


def test_products_that_are_no_attention() -> None:
    layers = {name: nn.Linear(8, 8, bias=False) for name in ("a", "b", "out")}
    gated = Lambda(lambda self, x: self.out(self.a(x).sigmoid() * self.b(x)), **layers)
    assert [node.op for node in trace(gated, TOKENS).nodes] == ["input", "conv", "conv", "conv"]
    weighted = Lambda(lambda self, x: self.out(self.a(x).softmax(-1) * self.b(x)), **layers)
    assert [node.op for node in trace(weighted, TOKENS).nodes] == ["input", "conv", "conv", "conv"]
    squares = Lambda(
        lambda self, x: self.out(self.b((y := self.a(x)) / (y * y).sum(-1, keepdim=True).sqrt())), **layers
    )
    assert chain(trace(squares, TOKENS)) == ["input", "conv", "conv", "conv"]


def test_a_bilinear_product_is_followed_by_ordinary_layers() -> None:
    layers = {name: nn.Linear(8, 8, bias=False) for name in ("a", "b")}
    model = Lambda(lambda self, x: self.out((self.a(x) * self.b(x)).sum(1).relu()) + self.table, **layers)
    model.out = nn.Linear(8, 8)
    graph = trace(with_parameters(model, table=(8,)), TOKENS)
    assert [node.op for node in graph.nodes] == ["input", "conv", "conv", "conv", "bias", "bias"]


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


def test_sum_of_attention_maps() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        content = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        return (content + self.positions(x).softmax(-1)) @ self.v(x)

    layers = {name: nn.Linear(4, 4, bias=False) for name in ("q", "k", "positions", "v")}
    graph = trace(Lambda(forward, **layers), torch.zeros(2, 4, 4))
    assert {("sum", "msa"), ("v.weight", "msa"), ("q.weight", "sum"), ("positions.weight", "sum")} <= edges(graph)


@pytest.mark.parametrize("swapped", [False, True])
def test_logits_that_other_features_are_added_to(swapped: bool) -> None:
    """As distances between tokens are, where data gives them."""

    def forward(self: Lambda, x: Tensor) -> Tensor:
        content, bias = self.q(x) @ self.k(x).transpose(1, 2), self.bias(x)
        logits = bias + content if swapped else content + bias
        return (logits + self.get_parameter("table")).softmax(-1) @ self.v(x)

    layers = {name: nn.Linear(4, 4, bias=False) for name in ("q", "k", "bias", "v")}
    graph = trace(with_parameters(Lambda(forward, **layers), table=(4, 4)), torch.zeros(2, 4, 4))
    assert graph.kept["table"].code is ReasonCode.SCORE_BIAS
    assert {("q.weight", "sum"), ("bias.weight", "sum"), ("sum", "msa"), ("v.weight", "msa")} <= edges(graph)
