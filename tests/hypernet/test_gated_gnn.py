"""The gated graph network against its sequential definition."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from ghn.hypernet import GraphBatch
from ghn.hypernet.gated_gnn import GatedGNN
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.graphs import random_graph


def gated_gnn(virtual_edges: bool) -> GatedGNN:
    encoder = small_hypernet(encoder="gated_gnn", virtual_edges=virtual_edges).gnn
    assert isinstance(encoder, GatedGNN)
    return encoder


def sequential(encoder: GatedGNN, x: Tensor, distances: Tensor) -> Tensor:
    """One node after the other, forwards, then backwards along reversed edges."""
    states = list(x.unbind())

    def sweep(order: Iterable[int], lengths: Tensor) -> None:
        for node in order:
            message = torch.zeros_like(states[node])
            for other in range(len(states)):
                length = int(lengths[other, node])
                if length == 1:
                    message = message + encoder.mlp(states[other])
                if length >= 1 and encoder.mlp_ve is not None:
                    message = message + encoder.mlp_ve(states[other]) / length
            states[node] = encoder.gru(message[None], states[node][None])[0]

    sweep(range(len(states)), distances)
    sweep(reversed(range(len(states))), distances.T)
    return torch.stack(states)


@pytest.mark.parametrize("virtual_edges", [True, False])
@pytest.mark.parametrize(("size", "density"), [(1, 0.0), (2, 0.0), (12, 0.0), (25, 0.1), (60, 0.0)])
@torch.no_grad()
def test_levels_are_the_sequential_definition(virtual_edges: bool, size: int, density: float) -> None:
    encoder = gated_gnn(virtual_edges)
    graph = random_graph(size, size, density)
    x = torch.randn(size, 16, generator=torch.Generator().manual_seed(0))
    expected = sequential(encoder, x, torch.from_numpy(graph.distances.copy()))
    torch.testing.assert_close(encoder(x, GraphBatch.from_graphs([graph])), expected, rtol=1e-4, atol=1e-5)


def test_gradient_is_that_of_the_sequential_definition() -> None:
    encoder = gated_gnn(True)
    graph = random_graph(6, 15, 0.1)
    x = torch.randn(15, 16, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(15, 16, generator=torch.Generator().manual_seed(1))
    parameters = list(encoder.parameters())
    actual = torch.autograd.grad((encoder(x, GraphBatch.from_graphs([graph])) * weights).sum(), parameters)
    slow = sequential(encoder, x, torch.from_numpy(graph.distances.copy()))
    expected = torch.autograd.grad((slow * weights).sum(), parameters)
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("grad", [False, True])
def test_weights_of_some_levels_at_a_time(grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = gated_gnn(True)
    batch = GraphBatch.from_graphs([random_graph(2, 30, 0.1), random_graph(3, 12, 0.3)])
    x = torch.randn(42, 16, generator=torch.Generator().manual_seed(0))
    expected = encoder(x, batch)
    for pairs in (1, 3 * 2 * sum(batch.level_widths)):
        monkeypatch.setattr("ghn.hypernet.gated_gnn.WEIGHTS_AT_ONCE", pairs)
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(encoder(x, batch), expected)


@torch.no_grad()
def test_batched_graphs_do_not_mix() -> None:
    encoder = gated_gnn(True)
    graphs = [random_graph(0, 9, 0.2), random_graph(1, 1), random_graph(2, 30, 0.0)]
    xs = [torch.randn(len(graph), 16, generator=torch.Generator().manual_seed(len(graph))) for graph in graphs]
    alone = [encoder(x, GraphBatch.from_graphs([graph])) for x, graph in zip(xs, graphs, strict=True)]
    torch.testing.assert_close(encoder(torch.cat(xs), GraphBatch.from_graphs(graphs)), torch.cat(alone))
