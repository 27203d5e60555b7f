"""Operations that are convolutions in a row, each described by its layers only.

Source: GHN-2 (NeurIPS 2021, appendix A), after DARTS (Liu et al., ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.deepnets.operations.layers import Conv2d, Norm
from ghn.deepnets.operations.record import Operation, halved


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution without bias from all channels to all channels, or of each channel alone.

    Attributes:
        kernel: Its height and width.
        depthwise: Whether each channel is convolved alone.
        dilation: Pixels between neighbours of the kernel.
        strides: Whether it takes the operation's stride along height and width.
        primitive: Primitive of its node.
    """

    kernel: tuple[int, int]
    depthwise: bool = False
    dilation: int = 1
    strides: tuple[bool, bool] = (False, False)
    primitive: str = "conv"

    def shape(self, channels: int) -> tuple[int, int, int, int]:
        """Of its weight."""
        return (channels, 1 if self.depthwise else channels, *self.kernel)

    def elements(self, channels: int) -> int:
        """Of its weight, also the multiply-adds for each pixel of its result."""
        return channels * (1 if self.depthwise else channels) * self.kernel[0] * self.kernel[1]

    def stride(self, stride: int) -> tuple[int, int]:
        """Its strides where the operation has the given one."""
        return (stride if self.strides[0] else 1, stride if self.strides[1] else 1)

    def module(self, channels: int, stride: int) -> nn.Module:
        """The convolution, padded so that only its stride changes the resolution."""
        options: dict[str, Any] = {"stride": self.stride(stride), "dilation": self.dilation}
        options["padding"] = tuple(self.dilation * (side - 1) // 2 for side in self.kernel)
        options["groups"] = channels if self.depthwise else 1
        return Conv2d(channels, channels, self.kernel, **options)


@dataclass(frozen=True, kw_only=True)
class Convolutions(Operation):
    """Stages, each of a ReLU, convolutions and a normalisation.

    Attributes:
        stages: The convolutions of each stage.
    """

    stages: tuple[tuple[Layer, ...], ...]

    def parameters(self, channels: int, stride: int, has_norm: bool) -> int:
        norms = 2 * channels * len(self.stages) if has_norm else 0
        return norms + sum(layer.elements(channels) for stage in self.stages for layer in stage)

    def multiply_adds(self, channels: int, stride: int, side: int) -> int:
        total, height, width = 0, side, side
        for layer in (layer for stage in self.stages for layer in stage):
            rows, columns = layer.stride(stride)
            height, width = halved(height, rows), halved(width, columns)
            total += layer.elements(channels) * height * width
        return total

    def module(self, channels: int, stride: int, norm: Norm) -> nn.Module:
        return Stages(
            *((*(layer.module(channels, stride) for layer in stage), norm(channels)) for stage in self.stages)
        )

    def nodes(self, builder: GraphBuilder, name: str, source: int | None, channels: int, stride: int) -> int | None:
        for place, layer in _places(self.stages):
            if layer is None:
                source = builder.norm(f"{name}.op.{place}", source, channels)
            else:
                source = builder.weight(f"{name}.op.{place}", source, layer.shape(channels), layer.primitive)
        return source


def _places(stages: Sequence[Sequence[Layer]]) -> Iterator[tuple[int, Layer | None]]:
    """Each layer, None for a normalisation, with its number in `Stages`."""
    place = 0
    for stage in stages:
        for layer in (*stage, None):
            place += 1
            yield place, layer
        place += 1


class Stages(nn.Module):
    """Stages in a row, each a ReLU and then layers, such as convolution and normalisation.

    Published parameter names number a stage's ReLU as well, and a normalisation where the network has none.

    Args:
        stages: The layers of each stage after its ReLU, None for one that is left out.
    """

    def __init__(self, *stages: Sequence[nn.Module | None]) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        self.firsts: set[str] = set()
        number = 0
        for stage in stages:
            self.firsts.add(str(number + 1))
            layers |= {str(number + slot): layer for slot, layer in enumerate(stage, start=1) if layer is not None}
            number += 1 + len(stage)
        self.op = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> Tensor:
        for name, layer in self.op.items():
            x = layer(F.relu(x) if name in self.firsts else x)
        return x


def pointwise(in_channels: int, out_channels: int, norm: Norm) -> Stages:
    """ReLU, 1×1 convolution, normalisation."""
    return Stages((Conv2d(in_channels, out_channels, 1), norm(out_channels)))


_STRIDED = (True, True)
_POINTWISE = Layer(kernel=(1, 1))


def dense(name: str, side: int, large: bool = False) -> Convolutions:
    """A convolution with a square kernel."""
    return Convolutions(name=name, large=large, stages=((Layer(kernel=(side, side), strides=_STRIDED),),))


def cross(name: str, side: int) -> Convolutions:
    """A row, then a column."""
    row = Layer(kernel=(1, side), strides=(False, True))
    return Convolutions(name=name, stages=((row, Layer(kernel=(side, 1), strides=(True, False))),))


def separable(name: str, side: int) -> Convolutions:
    """Twice a convolution of each channel alone and a 1×1 convolution."""
    first, second = (
        Layer(kernel=(side, side), depthwise=True, strides=strides, primitive="sep_conv")
        for strides in (_STRIDED, (False, False))
    )
    return Convolutions(name=name, stages=((first, _POINTWISE), (second, _POINTWISE)))


def dilated(name: str, side: int) -> Convolutions:
    """A convolution of each channel alone, with every other pixel, and a 1×1 convolution."""
    depthwise = Layer(kernel=(side, side), depthwise=True, dilation=2, strides=_STRIDED, primitive="dil_conv")
    return Convolutions(name=name, stages=((depthwise, _POINTWISE),))
