"""Weights found by the graph."""

from __future__ import annotations

import torch
from torch import nn

from ghn.batch_norm import running
from ghn.initializers.layers import layers_of
from tests.initializers.networks import small, state


def test_weights_are_views_in_the_order_of_the_data() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    layers = layers_of(model, [(torch.zeros(2, 5, 8), torch.zeros(2, dtype=torch.int64))])
    assert [layer.name for layer in layers.weights] == [
        "self_attn.in_proj_weight",
        "self_attn.out_proj.weight",
        "linear1.weight",
        "linear2.weight",
    ]
    layers.weights[-1].weight.zero_()
    assert not model.linear2.weight.any()
    assert layers.kept["norm1.weight"] == "a normalisation's weight"


def test_running_restores_all_also_after_an_error() -> None:
    model = small().train()
    model[1].eval()  # type: ignore[index]
    before = state(model)
    try:
        with running(model, training=True):
            model(torch.randn(4, 3, 8, 8))
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert all(torch.equal(before[name], value) for name, value in state(model).items())
    assert (model.training, model[1].training) == (True, False)  # type: ignore[index]
