"""The Graphormer encoder against its definition."""

import pytest
import torch
from torch import Tensor

from ghn.graph.distances import MAX_DISTANCE
from ghn.hypernet import GraphBatch
from ghn.hypernet.graphormer import Attention, Graphormer, Layer, RowwiseBias
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.graphs import random_graph
from tests.hypernet.recorder import largest_allocation


def graphormer(**switches: bool) -> Graphormer:
    encoder = small_hypernet(**switches).gnn
    assert isinstance(encoder, Graphormer)
    return encoder


def attention(encoder: Graphormer) -> Attention:
    first = encoder[0]
    assert isinstance(first, Layer)
    return first.attn


def direct_bias(encoder: Graphormer, distances: Tensor) -> Tensor:
    """φ of every pair of nodes, each embedded on its own: (n, n, H)."""
    forward = distances.long() * encoder.forward_edges
    backward = distances.long().T * encoder.backward_edges
    table = attention(encoder).edge_embed.embed.weight
    edges = torch.cat([table[forward + 2], table[backward + 2]], dim=-1)
    return attention(encoder).proj_e(edges)


def direct_layers(encoder: Graphormer, x: Tensor, bias: Tensor | None) -> Tensor:
    """The layers by their equations, head by head, for one graph."""
    for layer in encoder:
        assert isinstance(layer, Layer)
        q, k, v = layer.attn.to_qkv(layer.ln1(x)).chunk(3, dim=-1)
        width = q.shape[-1] // layer.attn.heads
        outputs = []
        for head in range(layer.attn.heads):
            own = slice(head * width, (head + 1) * width)
            logits = q[:, own] @ k[:, own].T * width**-0.5
            if bias is not None:
                logits = logits + bias[..., head]
            outputs.append(logits.softmax(dim=-1) @ v[:, own])
        x = x + layer.attn.to_out(torch.cat(outputs, dim=-1))
        first, gelu, _, last = layer.ff.net
        x = x + last(gelu(first(layer.ln2(x))))
    return x


SWITCHES = [{}, {"forward_edges": False}, {"backward_edges": False}]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("switches", SWITCHES)
def test_table_of_pairs_is_the_direct_bias(switches: dict[str, bool], grad: bool) -> None:
    encoder = graphormer(**switches)
    graphs = [random_graph(0, 70, density=0.0), random_graph(1, 1), random_graph(2, 20)]
    batch = GraphBatch.from_graphs(graphs)
    with torch.set_grad_enabled(grad):
        for bias, distances in zip(encoder.attention_biases(batch), batch.distance_matrices(), strict=True):
            assert isinstance(bias, torch.Tensor)
            torch.testing.assert_close(bias.permute(1, 2, 0), direct_bias(encoder, distances))


def test_gradient_of_the_table_is_that_of_the_direct_bias() -> None:
    encoder = graphormer()
    batch = GraphBatch.from_graphs([random_graph(3, 25)])
    (bias,) = encoder.attention_biases(batch)
    assert isinstance(bias, torch.Tensor)
    weights = torch.randn(bias.shape, generator=torch.Generator().manual_seed(0))
    table = attention(encoder).edge_embed.embed.weight
    (actual,) = torch.autograd.grad((bias * weights).sum(), table)
    direct = direct_bias(encoder, batch.distance_matrices()[0]).permute(2, 0, 1)
    (expected,) = torch.autograd.grad((direct * weights).sum(), table)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("switches", [*SWITCHES, {"forward_edges": False, "backward_edges": False}])
def test_layers_by_their_equations(switches: dict[str, bool]) -> None:
    encoder = graphormer(**switches)
    batch = GraphBatch.from_graphs([random_graph(4, 30)])
    x = torch.randn(30, 16, generator=torch.Generator().manual_seed(0))
    bias = (
        direct_bias(encoder, batch.distance_matrices()[0])
        if any((encoder.forward_edges, encoder.backward_edges))
        else None
    )
    torch.testing.assert_close(encoder(x, batch), direct_layers(encoder, x, bias), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("switches", SWITCHES)
@torch.no_grad()
def test_rows_at_a_time_are_all_at_once(switches: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = graphormer(**switches)
    batch = GraphBatch.from_graphs([random_graph(0, 70, density=0.0), random_graph(1, 1), random_graph(2, 20)])
    x = torch.randn(91, 16, generator=torch.Generator().manual_seed(0))
    expected = encoder(x, batch)
    monkeypatch.setattr("ghn.hypernet.graphormer.PAIRS_AT_ONCE", 100)
    for pairs in (1, 2 * 70 * 16, 2**20):
        monkeypatch.setattr("ghn.hypernet.graphormer.PAIRS_OF_A_BLOCK", pairs)
        assert all(isinstance(bias, RowwiseBias) for bias in encoder.attention_biases(batch))
        torch.testing.assert_close(encoder(x, batch), expected)


def test_gradients_need_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.hypernet.graphormer.PAIRS_AT_ONCE", 1)
    (bias,) = graphormer().attention_biases(GraphBatch.from_graphs([random_graph(3, 25)]))
    assert isinstance(bias, torch.Tensor)
    assert bias.requires_grad


def test_no_edge_embedding_has_no_edge_parameters() -> None:
    without = dict(graphormer(forward_edges=False, backward_edges=False).named_parameters())
    every = dict(graphormer().named_parameters())
    assert {name for name in every if name not in without} == {
        "0.attn.edge_embed.embed.weight",
        "0.attn.proj_e.0.weight",
        "0.attn.proj_e.0.bias",
        "0.attn.proj_e.2.weight",
        "0.attn.proj_e.2.bias",
    }


def test_longest_distances_have_rows() -> None:
    encoder = graphormer()
    table = encoder.bias_table(torch.device("cpu"))
    assert len(table) == 2 * MAX_DISTANCE + 1
    expected = attention(encoder).pair_bias(torch.tensor([0, MAX_DISTANCE]), torch.tensor([MAX_DISTANCE, 0]))
    torch.testing.assert_close(table[[0, -1]], expected)


def test_nothing_of_pairs_times_features_is_built() -> None:
    hypernet = small_hypernet(hidden=16, heads=2)
    batch = GraphBatch.from_graphs([random_graph(5, 120)])
    with torch.no_grad():
        largest = largest_allocation(lambda: hypernet.encode(batch))
    assert largest <= 120 * 120 * 2
