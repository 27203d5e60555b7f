"""Node features: primitive embeddings and the shape encoder (GHN-3, Knyazev et al., ICML 2023, appendix A.1).

Legend: N nodes, D hidden size, C classes, S the decoder's spatial side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LARGEST_CHANNELS = 8192
LARGEST_KERNEL = 16


def channel_values(num_classes: int) -> list[int]:
    """Numbers of channels that have a row of their own, ascending."""
    return sorted({1, 3, num_classes, *range(8, 64, 8), *range(64, 4096, 16), *range(4096, LARGEST_CHANNELS + 1, 32)})


def spatial_values(spatial: int) -> list[int]:
    """Kernel sides that have a row of their own, ascending."""
    return sorted({*range(1, max(12, spatial), 2), 14, LARGEST_KERNEL})


def nearest_rows(values: Sequence[int], exceptions: dict[int, int]) -> NDArray[np.int64]:
    """Row of every size from 0 to the largest of `values`.

    Args:
        values: Sizes that have a row, ascending.
        exceptions: Sizes without a row that do not take the nearest one, with the size whose row they take.

    Returns:
        (largest + 1,): the nearest row, the lower one on a tie; for size 0 (no shape) the row after the last.
    """
    table = np.asarray(values, dtype=np.int64)
    sizes = np.arange(table[-1] + 1)
    above = np.searchsorted(table, sizes).clip(max=len(table) - 1)
    below = (above - 1).clip(min=0)
    rows = np.where(np.abs(table[above] - sizes) < np.abs(sizes - table[below]), above, below)
    for size, stand_in in exceptions.items():
        if size not in values:
            rows[size] = values.index(stand_in)
    rows[0] = len(table)
    return rows


class Rows:
    """Row of every size, on whichever device it is asked for.

    A constant is no buffer: neither the device that was the default when a module was made, nor `to_empty`, which
    leaves buffers without their numbers, has a say in it.

    Args:
        rows: (sizes,) int64.
    """

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self._rows = rows
        self._copies: dict[torch.device, Tensor] = {}

    def of(self, sizes: Tensor) -> Tensor:
        """The row of each of `sizes` (...), those beyond the table taking the last one's; (...) int64, likewise."""
        rows = self._copies.get(sizes.device)
        if rows is None:
            with torch.inference_mode(False):
                rows = self._copies[sizes.device] = torch.from_numpy(self._rows).to(sizes.device)
        return rows[sizes.clamp(max=len(rows) - 1)]


class ShapeEncoder(nn.Module):
    """Embeds (out, in, kh, kw) as four look-ups side by side, each D/4 wide.

    Args:
        hidden: D.
        num_classes: C, one more size with a row of its own.
        spatial: S; kernels up to it have rows.
    """

    def __init__(self, hidden: int, num_classes: int, spatial: int) -> None:
        super().__init__()
        channels, kernels = channel_values(num_classes), spatial_values(spatial)
        self.embed_spatial = nn.Embedding(len(kernels) + 1, hidden // 4)
        self.embed_channel = nn.Embedding(len(channels) + 1, hidden // 4)
        self.channel_rows = Rows(nearest_rows(channels, dict.fromkeys(range(4, 8), 8)))
        self.spatial_rows = Rows(nearest_rows(kernels, {2: 3}))

    def forward(self, shapes_N4: Tensor) -> Tensor:
        """Look up `shapes_N4` (N, 4), zeros meaning no shape; returns (N, D)."""
        channels_N2 = self.channel_rows.of(shapes_N4[..., :2])
        sides_N2 = self.spatial_rows.of(shapes_N4[..., 2:])
        return torch.cat(
            [self.embed_channel(channels_N2).flatten(-2), self.embed_spatial(sides_N2).flatten(-2)], dim=-1
        )
