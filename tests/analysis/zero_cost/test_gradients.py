"""Scores from gradients of the loss; `test_table.py` compares each with its definition."""

import pytest
import torch
from torch import nn

from ghn.analysis.zero_cost.gradients import gradnorm, grasp, plain, snip
from ghn.analysis.zero_cost.network import Network


def test_of_a_network_of_one_weight_by_hand() -> None:
    """Scores (w x, 0), label 0: L = log(1 + e^(−w x)), L' = −x p, L'' = x² p (1 − p) with p = 1 / (1 + e^(w x))."""
    model = nn.Linear(1, 2, bias=False)
    w, x = 0.7, 1.5
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[w], [0.0]]))
    p = 1 / (1 + torch.exp(torch.tensor(w * x))).item()
    network = Network(model, (torch.tensor([[x]]), torch.tensor([0])))
    # The second row has the opposite gradient, and w = 0.
    assert gradnorm(network) == pytest.approx(2**0.5 * x * p)
    assert plain(network) == pytest.approx(-w * x * p)
    assert snip(network) == pytest.approx(w * x * p)
    # H = x² p (1 − p) [[1, −1], [−1, 1]], g = x p (−1, 1).
    assert grasp(network) == pytest.approx(2 * w * x**3 * p**2 * (1 - p), rel=1e-5)
