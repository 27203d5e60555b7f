"""The operations of DeepNets-1M cells as ordinary modules.

Shapes: maps (images, channels, height, width) to (images, channels, height / stride, width / stride), rounded up.
Parameter names are those of the published networks.
Source: GHN-2 (NeurIPS 2021, appendix A), after DARTS (Liu et al., ICLR 2019).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[int], nn.Module | None]
"""Makes a normalisation layer for a number of channels, or None where the network has none."""

HEADS = 8


class Conv2d(nn.Conv2d):
    """A convolution without bias that spends no time on initial values while it has no storage."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int | tuple[int, int], **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel, bias=False, **options)

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Linear(nn.Linear):
    """A linear layer that spends no time on initial values while it has no storage."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that spends no time on initial values while it has no storage."""

    def reset_parameters(self) -> None:
        if self.affine and not self.weight.is_meta:
            super().reset_parameters()


class LayerNorm(nn.LayerNorm):
    """Layer normalisation that spends no time on initial values while it has no storage."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


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


class Attention(nn.Module):
    """Multi-head self-attention over (images, tokens, channels)."""

    def __init__(self, channels: int, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Sequential(Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        images, tokens, channels = x.shape
        qkv = self.to_qkv(x).view(images, tokens, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(0))
        return self.to_out(mixed.transpose(1, 2).reshape(images, tokens, channels))


class FeedForward(nn.Module):
    """Linear, GELU, linear, all of one width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = Linear(channels, channels), Linear(channels, channels)
        # The published parameter names leave room for a dropout before the second layer.
        self.net = nn.Sequential(OrderedDict([("0", first), ("1", nn.GELU()), ("3", second)]))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerLayer(nn.Module):
    """A pre-norm transformer layer over the pixels of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ln1 = LayerNorm(channels)
        self.attn = Attention(channels)
        self.ln2 = LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(self.ln1(tokens))
        tokens = tokens + self.ff(self.ln2(tokens))
        return tokens.transpose(1, 2).reshape(images, channels, height, width)


def make_operation(name: str, channels: int, stride: int, norm: Norm) -> nn.Module:
    """An operation of a cell.

    Args:
        name: One of `ghn.deepnets.genotype.OPERATIONS` but "none", which is no operation.
        channels: Channels that come in and go out.
        stride: 1, or 2 to halve the resolution.
        norm: The network's normalisation.
    """
    return _MAKERS[name](channels, stride, norm)


def conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int, norm: Norm) -> Stages:
    """ReLU, convolution, normalisation."""
    return Stages((Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2), norm(out_channels)))


def _max_pool(channels: int, stride: int, norm: Norm) -> nn.Module:
    return nn.MaxPool2d(3, stride=stride, padding=1)


def _average_pool(channels: int, stride: int, norm: Norm) -> nn.Module:
    return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)


def _skip(channels: int, stride: int, norm: Norm) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, norm)


def _conv(kernel: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    return conv_norm(channels, channels, kernel, stride, norm)


def _cross_conv(channels: int, stride: int, norm: Norm) -> nn.Module:
    row = Conv2d(channels, channels, (1, 7), stride=(1, stride), padding=(0, 3))
    column = Conv2d(channels, channels, (7, 1), stride=(stride, 1), padding=(3, 0))
    return Stages((row, column, norm(channels)))


def _separable(kernel: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    return Stages(
        *(
            (
                Conv2d(channels, channels, kernel, stride=step, padding=kernel // 2, groups=channels),
                Conv2d(channels, channels, 1),
                norm(channels),
            )
            for step in (stride, 1)
        )
    )


def _dilated(kernel: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    depthwise = Conv2d(channels, channels, kernel, stride=stride, padding=kernel - 1, dilation=2, groups=channels)
    return Stages((depthwise, Conv2d(channels, channels, 1), norm(channels)))


def _attention(channels: int, stride: int, norm: Norm) -> nn.Module:
    assert stride == 1, "vision transformers keep their resolution"
    return TransformerLayer(channels)


def _gate(channels: int, stride: int, norm: Norm) -> nn.Module:
    return ChannelGate(channels, stride)


_MAKERS: dict[str, Callable[[int, int, Norm], nn.Module]] = {
    "max_pool_3x3": _max_pool,
    "avg_pool_3x3": _average_pool,
    "skip_connect": _skip,
    "sep_conv_3x3": partial(_separable, 3),
    "sep_conv_5x5": partial(_separable, 5),
    "dil_conv_3x3": partial(_dilated, 3),
    "dil_conv_5x5": partial(_dilated, 5),
    "conv_1x1": partial(_conv, 1),
    "conv_7x1_1x7": _cross_conv,
    "conv_3x3": partial(_conv, 3),
    "conv_5x5": partial(_conv, 5),
    "conv_7x7": partial(_conv, 7),
    "msa": _attention,
    "cse": _gate,
}
