"""What a graph hypernetwork is made of, and the published sizes.

Source: GHN-2 (Knyazev et al., NeurIPS 2021), GHN-3 (Knyazev et al., ICML 2023, table 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from ghn.common.settings import Settings, between

Encoder = Literal["graphormer", "gated_gnn", "mlp"]


@dataclass(frozen=True, kw_only=True)
class GHNConfig(Settings):
    """Architecture of a hypernetwork; `GHNConfig.preset` makes the published ones.

    Sizes have limits, ten times those of the largest published one and more: what a file says is made before its
    weights are read.

    Attributes:
        encoder: `graphormer` (GHN-3), `gated_gnn` (GHN-2) or `mlp` (no graph).
        hidden: D, width of node features.
        layers: L, Graphormer layers; 0 for the other encoders.
        heads: H, attention heads of the Graphormer; must divide `hidden`.
        num_classes: C, outputs of the target networks' classification head.
        max_channels: O_max = I_max, channels that the decoder produces before tiling.
        spatial: S, spatial side that the decoder produces (16 for ImageNet, 11 for 32×32 images).
        centered_crop: Crop kernels from the centre of the S×S window (GHN-3), else from its top-left corner (GHN-2).
        virtual_edges: Use shortest paths beyond direct edges (GHN-2's second message sum; GHN-3's edge embedding of
            distances over 1 is always as published).
        forward_edges: Graphormer: embed the distance i→j in the attention bias.
        backward_edges: Graphormer: embed the distance j→i in the attention bias.
        centrality: Graphormer: add in- and out-degree embeddings to the input.
        input_distance: Graphormer: add the embedding of the distance from the input node.
    """

    encoder: Encoder = "graphormer"
    hidden: int = field(default=64, metadata=between(4, 4096))
    layers: int = field(default=3, metadata=between(0, 256))
    heads: int = field(default=8, metadata=between(1, 1024))
    num_classes: int = field(default=1000, metadata=between(1, 1_000_000))
    max_channels: int = field(default=64, metadata=between(1, 4096))
    spatial: int = field(default=16, metadata=between(1, 64))
    centered_crop: bool = True
    virtual_edges: bool = True
    forward_edges: bool = True
    backward_edges: bool = True
    centrality: bool = True
    input_distance: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden < 4 or self.hidden % 4:
            raise ValueError(
                f"hidden must be a positive multiple of 4 (four shape look-ups share it), not {self.hidden}"
            )
        if self.encoder == "graphormer":
            if self.layers < 1:
                raise ValueError(f"a graphormer needs at least one layer, not {self.layers}")
            if self.heads < 1 or self.hidden % self.heads:
                raise ValueError(f"heads must divide hidden: {self.heads} does not divide {self.hidden}")

    @classmethod
    def preset(cls, name: str, *, num_classes: int = 1000, spatial: int | None = None, **changes: Any) -> GHNConfig:
        """One of the published sizes: ghn3-t, ghn3-s, ghn3-l, ghn3-xl, ghn2 or mlp.

        Args:
            name: The preset.
            num_classes: C.
            spatial: S; by default 11 for C = 10 or 100 (32×32 data sets such as CIFAR), else 16.
            changes: Any other field, e.g. an ablation switch.

        Raises:
            ValueError: For a name that is no preset.
        """
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
        if spatial is None:
            spatial = 11 if num_classes in (10, 100) else 16
        return replace(PRESETS[name], num_classes=num_classes, spatial=spatial, **changes)


def _ghn3(layers: int, hidden: int, heads: int) -> GHNConfig:
    return GHNConfig(layers=layers, hidden=hidden, heads=heads, max_channels=hidden)


PRESETS = MappingProxyType(
    {
        "ghn3-t": _ghn3(3, 64, 8),
        "ghn3-s": _ghn3(5, 128, 16),
        "ghn3-l": _ghn3(12, 256, 16),
        "ghn3-xl": _ghn3(24, 384, 16),
        "ghn2": GHNConfig(encoder="gated_gnn", hidden=32, layers=0, heads=1, max_channels=64, centered_crop=False),
        "mlp": GHNConfig(encoder="mlp", hidden=32, layers=0, heads=1, max_channels=64, centered_crop=False),
    }
)
"""Published sizes; see `GHNConfig.preset`."""
