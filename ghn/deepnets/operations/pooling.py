"""Operations without parameters of their own: nothing, pooling, a skip.

Source: GHN-2 (NeurIPS 2021, appendix A), after DARTS (Liu et al., ICLR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.deepnets.operations.layers import Conv2d, Norm
from ghn.deepnets.operations.record import Operation, halved


@dataclass(frozen=True, kw_only=True)
class Unlearnable(Operation):
    """Has no parameters and no multiply-adds, unless a subclass says so."""

    learnable: bool = False

    def parameters(self, channels: int, stride: int, has_norm: bool) -> int:
        return 0

    def multiply_adds(self, channels: int, stride: int, side: int) -> int:
        return 0


@dataclass(frozen=True, kw_only=True)
class Nothing(Unlearnable):
    """No edge at all; networks leave it out."""

    strides: tuple[int, ...] = ()

    def module(self, channels: int, stride: int, norm: Norm) -> nn.Module:
        raise AssertionError("networks leave out what gives nothing")

    def nodes(self, builder: GraphBuilder, name: str, source: int | None, channels: int, stride: int) -> int | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Pooling(Unlearnable):
    """The maximum or the average of 3×3 pixels, those beyond the border left out."""

    primitive: Literal["max_pool", "avg_pool"]

    def module(self, channels: int, stride: int, norm: Norm) -> nn.Module:
        if self.primitive == "max_pool":
            return nn.MaxPool2d(3, stride=stride, padding=1)
        return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)

    def nodes(self, builder: GraphBuilder, name: str, source: int | None, channels: int, stride: int) -> int | None:
        return None if source is None else builder.pool(self.primitive, source)


@dataclass(frozen=True, kw_only=True)
class Skip(Unlearnable):
    """The map itself, or a factorised reduction where it must halve the resolution."""

    def parameters(self, channels: int, stride: int, has_norm: bool) -> int:
        return 0 if stride == 1 else channels**2 + (2 * channels if has_norm else 0)

    def multiply_adds(self, channels: int, stride: int, side: int) -> int:
        return 0 if stride == 1 else channels**2 * halved(side) ** 2

    def module(self, channels: int, stride: int, norm: Norm) -> nn.Module:
        return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, norm)

    def nodes(self, builder: GraphBuilder, name: str, source: int | None, channels: int, stride: int) -> int | None:
        return source if stride == 1 else builder.factorized_reduction(name, source, channels, channels)


class FactorizedReduction(nn.Module):
    """Halve the resolution: two 1×1 convolutions of stride 2, one pixel apart, each giving half of the channels."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv_1 = Conv2d(in_channels, out_channels // 2, 1, stride=2)
        self.conv_2 = Conv2d(in_channels, out_channels // 2, 1, stride=2)
        self.bn = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        odd_rows, odd_columns = x.shape[-2] % 2, x.shape[-1] % 2
        shifted = x[:, :, 1:, 1:]
        if odd_rows or odd_columns:
            # Of an odd number of rows the shifted half has one less; a row of zeros stands in for it.
            shifted = F.pad(shifted, (0, odd_columns, 0, odd_rows))
        halves = torch.cat([self.conv_1(x), self.conv_2(shifted)], dim=1)
        return halves if self.bn is None else self.bn(halves)
