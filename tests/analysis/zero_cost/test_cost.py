"""Counts; `test_table.py` compares them for small networks."""

import torch
from torch import nn

from ghn.analysis.zero_cost.cost import multiply_adds, parameters
from ghn.analysis.zero_cost.network import Network


def test_tied_parameters_count_once_and_an_image_once() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[2].weight = model[1].weight
    network = Network(model, (torch.randn(8, 3), torch.zeros(8, dtype=torch.int64)))
    assert parameters(network) == 9
    assert multiply_adds(network) == 18
