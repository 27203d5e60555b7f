"""The encoder without a graph (the MLP baseline of GHN-2, Knyazev et al., NeurIPS 2021) and the block it shares.

Legend: N nodes, D hidden size.
"""

from __future__ import annotations

from torch import Tensor, nn

from ghn.hypernet.batch import GraphBatch


class TwoLayers(nn.Module):
    """Linear, ReLU, Linear, ReLU.

    Args:
        hidden: D, features in and out.
        middle: Features between; D by default.
    """

    def __init__(self, hidden: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or hidden
        self.fc = nn.Sequential(nn.Linear(hidden, middle), nn.ReLU(), nn.Linear(middle, hidden), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Transform the last axis of `x` (..., D)."""
        return self.fc(x)


class MLP(TwoLayers):
    """Encoder that looks at each node alone."""

    def forward(self, x_ND: Tensor, batch: GraphBatch | None = None) -> Tensor:
        """Transform node features (N, D); `batch` is not used."""
        return self.fc(x_ND)


def linear_layer(layers: nn.Sequential, index: int) -> nn.Linear:
    """The linear layer at `index`."""
    layer = layers[index]
    assert isinstance(layer, nn.Linear)
    return layer
