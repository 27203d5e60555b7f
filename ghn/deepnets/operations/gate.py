"""The operation that scales each channel.

Source: GHN-2 (NeurIPS 2021, appendix A), after squeeze-and-excitation networks (Hu et al., CVPR 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.deepnets.operations.layers import Linear, Norm
from ghn.deepnets.operations.record import Operation


@dataclass(frozen=True, kw_only=True)
class Gate(Operation):
    """A gate for each channel, from two linear layers with half of the channels between."""

    def parameters(self, channels: int, stride: int, has_norm: bool) -> int:
        return channels**2 + channels // 2 + channels

    def multiply_adds(self, channels: int, stride: int, side: int) -> int:
        return channels**2

    def module(self, channels: int, stride: int, norm: Norm) -> nn.Module:
        return ChannelGate(channels, stride)

    def nodes(self, builder: GraphBuilder, name: str, source: int | None, channels: int, stride: int) -> int | None:
        gate = builder.linear(f"{name}.fc1", source, channels, channels // 2)
        gate = builder.linear(f"{name}.fc2", gate, channels // 2, channels)
        return None if source is None or gate is None else builder.node("cse", (source, gate))


class ChannelGate(nn.Module):
    """Channel squeeze and excitation: multiply each channel by a gate computed from all channels' means."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.fc1 = Linear(channels, channels // 2)
        self.fc2 = Linear(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean(dim=(2, 3))
        gate = F.hardswish(self.fc2(F.relu(self.fc1(squeezed))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return x * gate[:, :, None, None]
