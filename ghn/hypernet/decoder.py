"""The decoders of GHN-3 (Knyazev et al., ICML 2023, section 3.2 and appendix A): node states to tensors.

Legend: D hidden size, S spatial side, O and I channels of a crop, n parameters of a group.
One tensor of shape (O_max, I_max, S, S) per node exists in principle; a parameter needs a crop of it. Each position and
each pair of channels is decoded on its own, so that nothing outside the crop is ever computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.hypernet.mlp import linear_layer
from ghn.hypernet.sliced_linear import Channels, Crop, Windows, bundled_linear, bundles, window_linear


class ConvDecoder(nn.Module):
    """Decodes weights with channels and a kernel.

    Args:
        hidden: D.
        max_channels: O_max = I_max.
        spatial: S.
        num_classes: C.
        centered: Whether windows are cut from the centre, else from the top-left corner.
    """

    def __init__(self, hidden: int, max_channels: int, spatial: int, num_classes: int, centered: bool) -> None:
        super().__init__()
        self.max_channels = max_channels
        self.spatial = spatial
        self.centered = centered
        self.fc = nn.Sequential(nn.Linear(hidden, 4 * hidden * spatial * spatial), nn.ReLU())
        self.conv = nn.Sequential(
            nn.Linear(4 * hidden, 8 * hidden), nn.ReLU(), nn.Linear(8 * hidden, max_channels * max_channels)
        )
        self.class_layer_predictor = nn.Sequential(nn.ReLU(), nn.Linear(max_channels, num_classes))

    def window(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the S×S square that a kernel of `height` × `width` (both ≤ S) takes."""
        starts = [self.spatial // 2 - side // 2 if self.centered else 0 for side in (height, width)]
        return slice(starts[0], starts[0] + height), slice(starts[1], starts[1] + width)

    def features(self, states: Sequence[Tensor], crops: Sequence[Crop]) -> list[Tensor]:
        """The decoder up to its last layer, for groups of parameters that need the same crop.

        Args:
            states: For each group (n, D) node states.
            crops: Crop of each group.

        Returns:
            For each group (kh·kw, n, 8D).
        """
        members: dict[tuple[int, int], list[int]] = {}
        for index, crop in enumerate(crops):
            members.setdefault((crop.height, crop.width), []).append(index)
        stacked = [torch.cat([states[index] for index in indices]) for indices in members.values()]
        trunks = self._trunks(stacked, [self.window(*size) for size in members])
        features: dict[int, Tensor] = {}
        for indices, trunk in zip(members.values(), trunks, strict=True):
            hidden = _relu(linear_layer(self.conv, 0)(_relu(trunk)))
            parts = hidden.split([len(states[index]) for index in indices], dim=1)
            features.update(zip(indices, parts, strict=True))
        return [features[index] for index in range(len(crops))]

    def _trunks(self, states: list[Tensor], windows: list[tuple[slice, slice]]) -> Sequence[Tensor]:
        """First layer at the positions of each window: (kh·kw, n, 4D) each."""
        weight, bias = self._trunk_parameters()
        if torch.is_grad_enabled() and windows:
            return Windows.apply(weight, bias, windows, *states)
        return [window_linear(weight, bias, window, x) for window, x in zip(windows, states, strict=True)]

    def _trunk_parameters(self) -> tuple[Tensor, Tensor]:
        layer = linear_layer(self.fc, 0)
        sides = (-1, self.spatial, self.spatial)
        return layer.weight.unflatten(0, sides), layer.bias.unflatten(0, sides)

    def cores(self, features: Sequence[Tensor], crops: Sequence[Crop], scales: Sequence[Tensor]) -> list[Tensor]:
        """The decoder's last layer.

        Args:
            features: For each group (kh·kw, n, 8D), from `features`.
            crops: Crop of each group.
            scales: For each group (n,), factor of each parameter.

        Returns:
            For each group (n, O, I, kh, kw).
        """
        layer = linear_layer(self.conv, 2)
        sides = (self.max_channels, self.max_channels)
        weight, bias = layer.weight.unflatten(0, sides), layer.bias.unflatten(0, sides)
        chosen = bundles(crops, [len(scale) for scale in scales])
        if torch.is_grad_enabled() and crops:
            flat = Channels.apply(weight, bias, crops, chosen, *scales, *features)
        else:
            flat = bundled_linear(weight, bias, crops, chosen, scales, features)
        return [core.unflatten(-1, (crop.height, crop.width)) for core, crop in zip(flat, crops, strict=True)]

    def head(self, core: Tensor) -> Tensor:
        """Classification weights from decoded ones: (n, O_max, I, kh, kw) to (n, C, I, kh, kw), not yet scaled."""
        return self.class_layer_predictor(core.movedim(1, -1)).movedim(-1, 1)


class VectorDecoder(nn.Module):
    """Decodes norm weights (row 0) and biases (row 1).

    Args:
        hidden: D.
        max_channels: Length of a row.
    """

    def __init__(self, hidden: int, max_channels: int) -> None:
        super().__init__()
        self.max_channels = max_channels
        self.fc = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 2 * max_channels))

    def forward(self, states: Tensor, row: int) -> Tensor:
        """Decode one of the two rows for node states (n, D); returns (n, max_channels)."""
        rows = slice(row * self.max_channels, (row + 1) * self.max_channels)
        last = linear_layer(self.fc, 2)
        return F.linear(self.fc[:2](states), last.weight[rows], last.bias[rows])


def _relu(x: Tensor) -> Tensor:
    """ReLU, in place where no gradient needs the input."""
    return F.relu(x, inplace=not torch.is_grad_enabled())
