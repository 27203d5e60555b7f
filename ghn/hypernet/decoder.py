"""The decoders of GHN-3 (Knyazev et al., ICML 2023, section 3.2 and appendix A): node states to tensors.

Legend: D hidden size, S spatial side, O and I all channels of the decoder, o and i those of a crop, kh × kw its window
(h, w in names, A = kh·kw), n parameters of a group, F = 4D, K = 8D, C classes, L length of a vector's row.
One tensor of shape (O, I, S, S) per node exists in principle; a parameter needs a crop of it. Each position and
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
        max_channels: O = I.
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

    def features(self, states_nD: Sequence[Tensor], crops: Sequence[Crop]) -> list[Tensor]:
        """The decoder up to its last layer, for groups of parameters that need the same crop.

        Args:
            states_nD: For each group (n, D) node states.
            crops: Crop of each group.

        Returns:
            For each group (kh·kw, n, 8D).
        """
        members: dict[tuple[int, int], list[int]] = {}
        for index, crop in enumerate(crops):
            members.setdefault((crop.height, crop.width), []).append(index)
        stacked_nD = [torch.cat([states_nD[index] for index in indices]) for indices in members.values()]
        trunks_AnF = self._trunks(stacked_nD, [self.window(*size) for size in members])
        features_AnK: dict[int, Tensor] = {}
        for indices, trunk_AnF in zip(members.values(), trunks_AnF, strict=True):
            hidden_AnK = _relu(linear_layer(self.conv, 0)(_relu(trunk_AnF)))
            parts_AnK = hidden_AnK.split([len(states_nD[index]) for index in indices], dim=1)
            features_AnK.update(zip(indices, parts_AnK, strict=True))
        return [features_AnK[index] for index in range(len(crops))]

    def _trunks(self, states_nD: list[Tensor], windows: list[tuple[slice, slice]]) -> Sequence[Tensor]:
        """First layer at the positions of each window: (kh·kw, n, 4D) each."""
        weight_FSSD, bias_FSS = self._trunk_parameters()
        if torch.is_grad_enabled() and windows:
            return Windows.apply(weight_FSSD, bias_FSS, windows, *states_nD)
        return [window_linear(weight_FSSD, bias_FSS, *pair) for pair in zip(windows, states_nD, strict=True)]

    def _trunk_parameters(self) -> tuple[Tensor, Tensor]:
        """Of the first layer, (4D, S, S, D) and (4D, S, S)."""
        layer = linear_layer(self.fc, 0)
        sides = (-1, self.spatial, self.spatial)
        return layer.weight.unflatten(0, sides), layer.bias.unflatten(0, sides)

    def cores(self, features_AnK: Sequence[Tensor], crops: Sequence[Crop], scales_n: Sequence[Tensor]) -> list[Tensor]:
        """The decoder's last layer.

        Args:
            features_AnK: For each group (kh·kw, n, 8D), from `features`.
            crops: Crop of each group.
            scales_n: For each group (n,), factor of each parameter.

        Returns:
            For each group (n, o, i, kh, kw).
        """
        layer = linear_layer(self.conv, 2)
        sides = (self.max_channels, self.max_channels)
        weight_OIK, bias_OI = layer.weight.unflatten(0, sides), layer.bias.unflatten(0, sides)
        chosen = bundles(crops, [len(scale_n) for scale_n in scales_n])
        if torch.is_grad_enabled() and crops:
            cores_noiA = Channels.apply(weight_OIK, bias_OI, crops, chosen, *scales_n, *features_AnK)
        else:
            cores_noiA = bundled_linear(weight_OIK, bias_OI, crops, chosen, scales_n, features_AnK)
        pairs = zip(cores_noiA, crops, strict=True)
        return [core_noiA.unflatten(-1, (crop.height, crop.width)) for core_noiA, crop in pairs]

    def head(self, core_nOihw: Tensor) -> Tensor:
        """Classification weights from decoded ones: (n, O, i, kh, kw) to (n, C, i, kh, kw), not yet scaled."""
        return self.class_layer_predictor(core_nOihw.movedim(1, -1)).movedim(-1, 1)


class VectorDecoder(nn.Module):
    """Decodes norm weights (row 0) and biases (row 1).

    Args:
        hidden: D.
        max_channels: L.
    """

    def __init__(self, hidden: int, max_channels: int) -> None:
        super().__init__()
        self.max_channels = max_channels
        self.fc = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 2 * max_channels))

    def forward(self, states_nD: Tensor, row: int) -> Tensor:
        """Decode one of the two rows for node states (n, D); returns (n, L)."""
        rows = slice(row * self.max_channels, (row + 1) * self.max_channels)
        last = linear_layer(self.fc, 2)
        return F.linear(self.fc[:2](states_nD), last.weight[rows], last.bias[rows])


def _relu(x: Tensor) -> Tensor:
    """ReLU, in place where no gradient needs the input."""
    return F.relu(x, inplace=not torch.is_grad_enabled())
