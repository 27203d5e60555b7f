"""The operation that is a transformer layer.

Source: GHN-2 (NeurIPS 2021, appendix A), after ViT (Dosovitskiy et al., ICLR 2021).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.deepnets.operations.layers import LayerNorm, Linear, Norm
from ghn.deepnets.operations.record import Operation

HEADS = 8


@dataclass(frozen=True, kw_only=True)
class Transformer(Operation):
    """Attention and two linear layers; vision transformers keep their resolution."""

    strides: tuple[int, ...] = (1,)

    def parameters(self, channels: int, stride: int, has_norm: bool) -> int:
        # Queries, keys, values, projection, two layers; three biases, two layer norms.
        return 6 * channels**2 + 7 * channels

    def multiply_adds(self, channels: int, stride: int, side: int) -> int:
        return 6 * channels**2 * side**2 + 2 * channels * side**4

    def module(self, channels: int, stride: int, norm: Norm) -> nn.Module:
        assert stride in self.strides
        return TransformerLayer(channels)

    def nodes(self, builder: GraphBuilder, name: str, source: int | None, channels: int, stride: int) -> int | None:
        node = builder.scale_and_shift("ln", f"{name}.ln1", source, channels)
        node = builder.weight(f"{name}.attn.to_qkv", node, (3 * channels, channels))
        node = None if node is None else builder.node("msa", (node,))
        node = builder.linear(f"{name}.attn.to_out.0", node, channels, channels)
        attended = None if source is None or node is None else builder.merge("sum", (source, node))
        node = builder.scale_and_shift("ln", f"{name}.ln2", attended, channels)
        node = builder.linear(f"{name}.ff.net.0", node, channels, channels)
        node = builder.linear(f"{name}.ff.net.3", node, channels, channels)
        return None if attended is None or node is None else builder.merge("sum", (attended, node))


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
