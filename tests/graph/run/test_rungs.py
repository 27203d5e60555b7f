"""The ways to run a model."""

import torch
from torch import Tensor, nn

from ghn.graph.trace import trace
from tests.graph.graphs import chain


class Branching(nn.Module):
    """Control flow that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(x) if (x.sum() < 1e9).item() else x


def test_values_in_control_flow_need_a_real_run() -> None:
    graph = trace(Branching(), torch.zeros(2, 4))
    assert graph.traced_by == "real"
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]


def test_constants_in_control_flow_do_not() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.register_buffer("steps", torch.tensor(3))

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(int(self.get_buffer("steps"))):
                x = torch.relu(x)
            for scale in torch.linspace(0, 1, 3).tolist():
                x = x * scale
            return self.a(x)

    graph = trace(Model(), torch.zeros(2, 4))
    assert graph.traced_by == "meta"
