"""Attention written in many ways, with what its queries, keys and values are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

D, H, N = 8, 2, 5
"""Features, heads, tokens."""

K = D // H

PACKED = ("fused", "interleaved")


class Attention(nn.Module):
    """Self-attention over (B, N, D) with a classification head.

    Args:
        kind: How it is written.
        heads: H.
    """

    def __init__(self, kind: str, heads: int = H) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.heads = kind, heads
        self.positions = nn.Parameter(0.02 * torch.randn(1, N, D))
        inner = 2 * D if kind == "wide" else D
        self.norm = nn.LayerNorm(D)
        if kind in PACKED:
            self.qkv: nn.Linear | nn.Conv2d = nn.Linear(D, 3 * D)
        elif kind == "convolution":
            self.qkv = nn.Conv2d(D, 3 * D, 1)
        elif kind == "module":
            self.attention = nn.MultiheadAttention(D, heads, batch_first=True)
        else:
            self.q, self.v = nn.Linear(D, inner), nn.Linear(D, inner)
            self.k = nn.Linear(D, K if kind == "shared keys" else inner)
        self.out: nn.Module = nn.Conv2d(D, D, 1) if kind == "convolution" else nn.Linear(inner, D)
        if kind == "gate":
            self.gate = nn.Linear(D, D)
        self.head = nn.Linear(D, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.positions
        normed = self.norm(x)
        mixed = self.attention(normed, normed, normed)[0] if self.kind == "module" else self.out(self.mix(normed, x))
        return self.head((x + mixed.reshape(x.shape)).mean(1))  # type: ignore[no-any-return]

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def mix(self, x: Tensor, other: Tensor) -> Tensor:
        q, k, v = self.projections(x, other)
        if self.kind == "normalised":
            q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        if self.kind == "rotated":
            turned = torch.cat([-q[..., K // 2 :], q[..., : K // 2]], -1)
            angles = torch.arange(N)[:, None] * torch.ones(K)
            q = q * angles.cos() + turned * angles.sin()
        if self.kind in ("separate", "other features", "wide", "shared keys", "normalised", "rotated"):
            attended = functional.scaled_dot_product_attention(q, k, v)
        else:
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + torch.zeros(N, N)
            attended = scores.softmax(-1) @ v
        merged = attended.transpose(1, 2).flatten(2)
        if self.kind == "convolution":
            return merged.transpose(1, 2)[..., None]
        return merged * self.gate(x).sigmoid() if self.kind == "gate" else merged

    def projections(self, x: Tensor, other: Tensor) -> Any:
        if self.kind == "fused":
            return self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.kind == "interleaved":
            return self.qkv(x).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        if self.kind == "convolution":
            made = self.qkv(x.transpose(1, 2)[..., None])[..., 0]
            return [self.split(part) for part in made.transpose(1, 2).chunk(3, -1)]
        k = self.split_keys(self.k(other if self.kind == "other features" else x))
        return self.split(self.q(x)), k, self.split(self.v(x))

    def split_keys(self, k: Tensor) -> Tensor:
        if self.kind == "shared keys":
            return k[:, None].expand(-1, self.heads, -1, -1)
        return self.split(k)

    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W_Q, W_K, W_V of each head, (H, D, K), and W_proj (D, D): the definition, by slices of the weights."""
        out = self.out.get_parameter("weight").detach().flatten(1).T
        if self.kind in PACKED:
            order = (3, self.heads) if self.kind == "fused" else (self.heads, 3)
            rows = self.qkv.weight.detach().view(*order, -1, D)
            q, k, v = rows if self.kind == "fused" else rows.transpose(0, 1)
        elif self.kind in ("convolution", "module"):
            weight = self.qkv.weight if self.kind == "convolution" else self.attention.in_proj_weight
            q, k, v = weight.detach().reshape(3, self.heads, -1, D)
            if self.kind == "module":
                out = self.attention.out_proj.weight.detach().T
        else:
            q, k, v = (layer.weight.detach().view(self.heads, -1, D) for layer in (self.q, self.k, self.v))
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), out


PLAIN = ["fused", "interleaved", "convolution", "module", "separate", "wide"]
"""Kinds that can be set whole."""
