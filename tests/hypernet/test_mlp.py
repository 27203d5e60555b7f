"""The encoder without a graph."""

import pytest
import torch
from torch import nn

from ghn.hypernet import GraphBatch
from ghn.hypernet.mlp import MLP, TwoLayers, linear_layer
from tests.hypernet.graphs import random_graph


@pytest.mark.parametrize("middle", [None, 1, 9])
def test_two_layers(middle: int | None) -> None:
    layers = TwoLayers(4, middle)
    first, last = linear_layer(layers.fc, 0), linear_layer(layers.fc, 2)
    assert (first.out_features, last.out_features) == (middle or 4, 4)
    x = torch.randn(2, 3, 4)
    expected = ((x @ first.weight.t() + first.bias).clamp(min=0) @ last.weight.t() + last.bias).clamp(min=0)
    torch.testing.assert_close(layers(x), expected)


def test_each_node_is_looked_at_alone() -> None:
    encoder, x_ND = MLP(4), torch.randn(7, 4)
    batch = GraphBatch.from_graphs([random_graph(0, 5), random_graph(1, 2)])
    states_ND = encoder(x_ND, batch)
    for node in range(7):
        torch.testing.assert_close(states_ND[node : node + 1], encoder(x_ND[node : node + 1]))
    assert not encoder(x_ND, batch).equal(torch.zeros(7, 4))


def test_another_layer_is_our_mistake() -> None:
    layers = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    assert linear_layer(layers, 1) is layers[1]
    with pytest.raises(AssertionError):
        linear_layer(layers, 0)
