"""Linear layers of which only a slice is computed, without copying their weights.

Legend: D hidden size, S spatial side, F = 4D features after the first layer, K = 8D before the last, O and I channels
of the decoder, o and i those of a crop, a and b the shorter and the longer of the two, kh × kw the crop's window (h, w
in names; A = kh·kw), n parameters of a group, P = n·kh·kw positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

READ_POSITIONS = 16
"""Reading a weight from memory takes as long as multiplying it with so many positions."""

BUNDLE_ELEMENTS = 2**25
"""Products of several groups have at most so many elements (128 MiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """Which part of the (O_max, I_max, S, S) tensor is needed.

    Attributes:
        out: o, the first so many output channels.
        inputs: i, the first so many input channels.
        height: kh, rows of the window.
        width: kw, columns of the window.
    """

    out: int
    inputs: int
    height: int
    width: int

    @property
    def area(self) -> int:
        """Number of positions of the window."""
        return self.height * self.width

    @property
    def elements(self) -> int:
        """Number of elements of a decoded kernel."""
        return self.out * self.inputs * self.area


def window_linear(weight_FSSD: Tensor, bias_FSS: Tensor, window: tuple[slice, slice], x_nD: Tensor) -> Tensor:
    """The trunk's first layer at some positions, without copying its weight.

    Args:
        weight_FSSD: (4D, S, S, D).
        bias_FSS: (4D, S, S).
        window: Rows and columns.
        x_nD: (n, D).

    Returns:
        (kh·kw, n, 4D).
    """
    rows, columns = window
    weight_FhwD, bias_Fhw = weight_FSSD[:, rows, columns], bias_FSS[:, rows, columns]
    features, height, width, _ = weight_FhwD.shape
    out_hwnF = x_nD.new_empty(height, width, len(x_nD), features)
    x_wnD = x_nD.expand(width, -1, -1)
    for row in range(height):
        bias_w1F, weight_wDF = bias_Fhw[:, row].t().unsqueeze(1), weight_FhwD[:, row].permute(1, 2, 0)
        torch.baddbmm(bias_w1F, x_wnD, weight_wDF, out=out_hwnF[row])
    return out_hwnF.flatten(0, 1)


def bundles(crops: Sequence[Crop], counts: Sequence[int], limit: int = BUNDLE_ELEMENTS) -> list[list[int]]:
    """Choose groups to decode in one product, with the channels that the largest of them needs.

    A product reads the weight once whatever the number of positions P: it takes about as long as
    O · I · (READ_POSITIONS + P), so that groups of few positions are cheaper together, though some of the result is
    not needed.

    Args:
        crops: Crop of each group.
        counts: n of each group.
        limit: Most elements of a product of several groups.

    Returns:
        Indices of the groups of each bundle.
    """
    found: list[tuple[int, int, int, list[int]]] = []
    order = sorted(range(len(crops)), key=lambda index: -crops[index].out * crops[index].inputs)
    for index in order:
        crop, positions = crops[index], counts[index] * crops[index].area
        best, most_saved = None, 0
        for number, (out, inputs, others, _) in enumerate(found):
            area = max(out, crop.out) * max(inputs, crop.inputs)
            apart = out * inputs * (READ_POSITIONS + others) + crop.out * crop.inputs * (READ_POSITIONS + positions)
            saved = apart - area * (READ_POSITIONS + others + positions)
            if saved > most_saved and area * (others + positions) <= limit:
                best, most_saved = number, saved
        if best is None:
            found.append((crop.out, crop.inputs, positions, [index]))
        else:
            out, inputs, others, members = found[best]
            found[best] = (max(out, crop.out), max(inputs, crop.inputs), others + positions, [*members, index])
    return [members for *_, members in found]


def bundled_linear(
    weight_OIK: Tensor,
    bias_OI: Tensor,
    crops: Sequence[Crop],
    bundles: Sequence[Sequence[int]],
    scales_n: Sequence[Tensor],
    xs_AnK: Sequence[Tensor],
) -> list[Tensor]:
    """`channel_linear` for all groups, bundle by bundle."""
    results_noiA: dict[int, Tensor] = {}
    for members in bundles:
        picked = [crops[index] for index in members]
        cores_noiA = channel_linear(
            weight_OIK, bias_OI, picked, [scales_n[index] for index in members], [xs_AnK[index] for index in members]
        )
        results_noiA.update(zip(members, cores_noiA, strict=True))
    return [results_noiA[index] for index in range(len(crops))]


def channel_linear(
    weight_OIK: Tensor, bias_OI: Tensor, crops: Sequence[Crop], scales_n: Sequence[Tensor], xs_AnK: Sequence[Tensor]
) -> list[Tensor]:
    """The decoder's last layer for some channels, without copying its weight.

    Args:
        weight_OIK: (O, I, K).
        bias_OI: (O, I).
        crops: For each group its channels, and positions per parameter.
        scales_n: For each group (n,) factor of each parameter.
        xs_AnK: For each group (kh·kw, n, K).

    Returns:
        For each group (n, o, i, kh·kw), contiguous.
    """
    channels = slice(max(crop.out for crop in crops)), slice(max(crop.inputs for crop in crops))
    weight_abK, bias_ab = weight_OIK[channels], bias_OI[channels]
    # One product per index of the shorter channel axis: its operands need no copy, and few products are fast.
    flipped = weight_abK.shape[1] < weight_abK.shape[0]
    if flipped:
        weight_abK, bias_ab = weight_abK.transpose(0, 1), bias_ab.t()
    x_PK = torch.cat([x_AnK.flatten(0, 1) for x_AnK in xs_AnK]) if len(xs_AnK) > 1 else xs_AnK[0].flatten(0, 1)
    x_aPK = x_PK.expand(len(weight_abK), -1, -1)
    y_aPb = torch.baddbmm(bias_ab.unsqueeze(1), x_aPK, weight_abK.transpose(1, 2))
    results_noiA = []
    parts_aPb = y_aPb.split([x_AnK.shape[0] * x_AnK.shape[1] for x_AnK in xs_AnK], dim=1)
    for crop, scale_n, part_aPb in zip(crops, scales_n, parts_aPb, strict=True):
        order, sides = ((2, 3, 0, 1), (crop.inputs, crop.out)) if flipped else ((2, 0, 3, 1), (crop.out, crop.inputs))
        part_aAnb = part_aPb[: sides[0], :, : sides[1]].unflatten(1, (crop.area, len(scale_n)))
        part_noiA = part_aAnb.permute(order)
        out_noiA = part_noiA.new_empty(part_noiA.shape)
        results_noiA.append(torch.mul(part_noiA, scale_n[:, None, None, None], out=out_noiA))
    return results_noiA


class Windows(torch.autograd.Function):
    """`window_linear` for several windows; the weight's gradient is built once, in place."""

    @staticmethod
    def forward(
        ctx: Any, weight_FSSD: Tensor, bias_FSS: Tensor, windows: list[tuple[slice, slice]], *xs_nD: Tensor
    ) -> Any:
        ctx.windows = windows
        ctx.save_for_backward(weight_FSSD, *xs_nD)
        return tuple(window_linear(weight_FSSD, bias_FSS, *pair) for pair in zip(windows, xs_nD, strict=True))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_AnF: Tensor) -> Any:
        weight_FSSD, *xs_nD = ctx.saved_tensors
        weight_grad_FSSD = torch.zeros_like(weight_FSSD)
        bias_grad_FSS = weight_FSSD.new_zeros(weight_FSSD.shape[:3])
        x_grads_nD = []
        with torch.autocast(weight_FSSD.device.type, enabled=False):
            for (rows, columns), x_nD, grad_AnF in zip(ctx.windows, xs_nD, grads_AnF, strict=True):
                x_grad_nD = torch.zeros_like(x_nD)
                width = columns.stop - columns.start
                for row, grad_wnF in enumerate(grad_AnF.split(width), start=rows.start):
                    weight_wFD = weight_FSSD[:, row, columns].transpose(0, 1)
                    x_grad_nD += torch.bmm(grad_wnF, weight_wFD).sum(dim=0)
                    product_wFD = torch.bmm(grad_wnF.transpose(1, 2), x_nD.expand(width, -1, -1))
                    weight_grad_FSSD[:, row, columns] += product_wFD.transpose(0, 1)
                    bias_grad_FSS[:, row, columns] += grad_wnF.sum(dim=1).t()
                x_grads_nD.append(x_grad_nD)
        return weight_grad_FSSD, bias_grad_FSS, None, *x_grads_nD


class Channels(torch.autograd.Function):
    """`bundled_linear`; the weight's gradient is built once, in place."""

    @staticmethod
    def forward(
        ctx: Any,
        weight_OIK: Tensor,
        bias_OI: Tensor,
        crops: Sequence[Crop],
        bundles: Sequence[Sequence[int]],
        *scales_and_xs: Tensor,
    ) -> Any:
        scales_n, xs_AnK = scales_and_xs[: len(crops)], scales_and_xs[len(crops) :]
        ctx.crops = crops
        ctx.save_for_backward(weight_OIK, *scales_and_xs)
        return tuple(bundled_linear(weight_OIK, bias_OI, crops, bundles, scales_n, xs_AnK))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_noiA: Tensor) -> Any:
        weight_OIK, *tensors = ctx.saved_tensors
        scales_n, xs_AnK = tensors[: len(ctx.crops)], tensors[len(ctx.crops) :]
        weight_grad_OIK, bias_grad_OI = torch.zeros_like(weight_OIK), weight_OIK.new_zeros(weight_OIK.shape[:2])
        x_grads_AnK = []
        with torch.autocast(weight_OIK.device.type, enabled=False):
            for crop, scale_n, x_AnK, grad_noiA in zip(ctx.crops, scales_n, xs_AnK, grads_noiA, strict=True):
                part = (slice(crop.out), slice(crop.inputs))
                # Positions of all parameters in the order of x.
                y_grad_oiP = (grad_noiA * scale_n[:, None, None, None]).permute(1, 2, 3, 0).flatten(2)
                bias_grad_OI[part] += y_grad_oiP.sum(dim=-1)
                weight_grad_OIK[part].baddbmm_(y_grad_oiP, x_AnK.flatten(0, 1).expand(crop.out, -1, -1))
                x_grad_PK = torch.einsum("oip,oik->pk", y_grad_oiP, weight_OIK[part])
                x_grads_AnK.append(x_grad_PK.view(x_AnK.shape))
        return weight_grad_OIK, bias_grad_OI, None, None, *(None for _ in scales_n), *x_grads_AnK
