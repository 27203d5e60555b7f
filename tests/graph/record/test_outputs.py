"""The tensors in whatever a model returns."""

import torch
from torch import Tensor, nn

from ghn.graph.trace import trace


def test_outputs_of_any_structure() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 6)

        def forward(self, x: Tensor) -> dict:
            return {"features": [self.a(x), (x,)], "logits": self.b(x), "none": None, "count": 3}

    graph = trace(Model(), torch.zeros(2, 4))
    assert {name for name, spec in graph.parameters.items() if spec.head} == {"b.weight", "b.bias"}
    assert len(graph.parameters) == 4
