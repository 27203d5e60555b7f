"""What a model is called with where nobody says."""

import pytest
import torch
from torch import nn

from ghn.graph.trace import trace


@pytest.mark.parametrize(
    ("model", "ops"),
    [
        (nn.Sequential(nn.Linear(7, 3)), 3),
        (nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 26 * 26, 2)), 5),
        (nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(3 * 30 * 30, 2)), 5),
        (nn.Sequential(nn.Conv1d(2, 3, 3)), 3),
        (nn.Sequential(nn.Conv3d(2, 3, 3)), 3),
        (nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)), 3),
    ],
)
def test_guessed_inputs(model: nn.Module, ops: int) -> None:
    graph = trace(model)
    assert graph.traced_by == "meta"
    assert len(graph) == ops


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_guessed_inputs_have_the_precision_of_the_model(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(dtype)
    assert trace(model).traced_by == "meta"
