"""SynFlow; `test_table.py` compares both kinds with their definition."""

import pytest
import torch
from torch import nn

from ghn.analysis.zero_cost.network import Network, UndefinedError
from ghn.analysis.zero_cost.synflow import synflow, synflow_bn


def test_of_two_layers_by_hand() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[1].weight.data = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
        model[3].weight.data = torch.tensor([[-2.0, 4.0]])
    network = Network(model, (torch.randn(3, 2), torch.zeros(3, dtype=torch.int64)))
    # R = 2 · 3 + 4 · 3.5 = 20; each layer's terms sum to R.
    assert synflow(network) == pytest.approx(40.0)
    assert torch.get_default_dtype() == torch.float32


def test_one_position_has_no_statistics() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 6), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    network = Network(model, (torch.randn(2, 3, 6, 6), torch.zeros(2, dtype=torch.int64)))
    assert synflow(network) > 0
    with pytest.raises(UndefinedError, match="take larger images"):
        synflow_bn(network)


def test_batch_norms_decide_only_where_they_are_kept() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    network = Network(model, (torch.randn(2, 3, 6, 6), torch.zeros(2, dtype=torch.int64)))
    without = synflow(network)
    with torch.no_grad():
        model[1].weight.mul_(5)  # type: ignore[operator]
    assert synflow(network) == pytest.approx(without)
    assert synflow_bn(network) != pytest.approx(without)
