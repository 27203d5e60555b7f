"""The ways in which a forward pass is recorded, one after the other."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.graph.run.inputs import Inputs
from ghn.graph.run.rungs import RUNGS


class Attention(nn.Module):
    def __init__(self, *, masked: bool = False, **how: Any) -> None:
        super().__init__()
        self.query, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.masked, self.how = masked, how

    def forward(self, x: Tensor) -> Tensor:
        x = self.query(x)
        mask = torch.ones(4, 4, dtype=torch.bool, device=x.device) if self.masked else None
        return self.head(functional.scaled_dot_product_attention(x, x, x, attn_mask=mask, **self.how))


@pytest.mark.parametrize("how", [{}, {"is_causal": True}, {"dropout_p": 0.1}, {"scale": 0.5}, {"masked": True}])
def test_fused_attention_is_recorded_in_every_way(how: dict[str, Any]) -> None:
    """Fake tensors ask for their device by an operator that no dispatcher knows."""
    model, inputs = Attention(**how), Inputs((torch.zeros(2, 4, 8),), {})
    names = {name: {operation.name for operation in run(model, inputs, True).operations} for name, run in RUNGS.items()}
    assert {"matmul", "bmm"} & names["meta"]
    assert "softmax" in " ".join(names["meta"])
    for name in ("guess", "fake", "real"):
        assert {"addmm", "bmm", "_softmax"} & names[name] == {"addmm", "bmm", "_softmax"} & names["meta"], name
