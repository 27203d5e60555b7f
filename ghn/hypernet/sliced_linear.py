"""Linear layers of which only a slice is computed, without copying their weights.

Legend: D hidden size, S spatial side, O and I channels, n parameters of a group, P = n·kh·kw positions, K = 8D.
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
        out: O, the first so many output channels.
        inputs: I, the first so many input channels.
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


def window_linear(weight: Tensor, bias: Tensor, window: tuple[slice, slice], x: Tensor) -> Tensor:
    """The trunk's first layer at some positions, without copying its weight.

    Args:
        weight: (4D, S, S, D).
        bias: (4D, S, S).
        window: Rows and columns.
        x: (n, D).

    Returns:
        (kh·kw, n, 4D).
    """
    rows, columns = window
    weight, bias = weight[:, rows, columns], bias[:, rows, columns]
    features, height, width, _ = weight.shape
    out = x.new_empty(height, width, len(x), features)
    for row in range(height):
        row_bias, row_weight = bias[:, row].t().unsqueeze(1), weight[:, row].permute(1, 2, 0)
        torch.baddbmm(row_bias, x.expand(width, -1, -1), row_weight, out=out[row])
    return out.flatten(0, 1)


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
    weight: Tensor,
    bias: Tensor,
    crops: Sequence[Crop],
    bundles: Sequence[Sequence[int]],
    scales: Sequence[Tensor],
    xs: Sequence[Tensor],
) -> list[Tensor]:
    """`channel_linear` for all groups, bundle by bundle."""
    results: dict[int, Tensor] = {}
    for members in bundles:
        picked = [crops[index] for index in members]
        cores = channel_linear(
            weight, bias, picked, [scales[index] for index in members], [xs[index] for index in members]
        )
        results.update(zip(members, cores, strict=True))
    return [results[index] for index in range(len(crops))]


def channel_linear(
    weight: Tensor, bias: Tensor, crops: Sequence[Crop], scales: Sequence[Tensor], xs: Sequence[Tensor]
) -> list[Tensor]:
    """The decoder's last layer for some channels, without copying its weight.

    Args:
        weight: (O_max, I_max, K).
        bias: (O_max, I_max).
        crops: For each group its channels, and positions per parameter.
        scales: For each group (n,) factor of each parameter.
        xs: For each group (kh·kw, n, K).

    Returns:
        For each group (n, O, I, kh·kw), contiguous.
    """
    channels = slice(max(crop.out for crop in crops)), slice(max(crop.inputs for crop in crops))
    weight, bias = weight[channels], bias[channels]
    # One product per index of the shorter channel axis: its operands need no copy, and few products are fast.
    flipped = weight.shape[1] < weight.shape[0]
    if flipped:
        weight, bias = weight.transpose(0, 1), bias.t()
    x = torch.cat([x.flatten(0, 1) for x in xs]) if len(xs) > 1 else xs[0].flatten(0, 1)
    y = torch.baddbmm(bias.unsqueeze(1), x.expand(len(weight), -1, -1), weight.transpose(1, 2))
    results = []
    parts = y.split([x.shape[0] * x.shape[1] for x in xs], dim=1)
    for crop, scale, part in zip(crops, scales, parts, strict=True):
        order, sides = ((2, 3, 0, 1), (crop.inputs, crop.out)) if flipped else ((2, 0, 3, 1), (crop.out, crop.inputs))
        part = part[: sides[0], :, : sides[1]].unflatten(1, (crop.area, len(scale))).permute(order)
        out = part.new_empty(part.shape)
        results.append(torch.mul(part, scale[:, None, None, None], out=out))
    return results


class Windows(torch.autograd.Function):
    """`window_linear` for several windows; the weight's gradient is built once, in place."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, windows: list[tuple[slice, slice]], *xs: Tensor) -> Any:
        ctx.windows = windows
        ctx.save_for_backward(weight, *xs)
        return tuple(window_linear(weight, bias, window, x) for window, x in zip(windows, xs, strict=True))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        weight, *xs = ctx.saved_tensors
        weight_grad, bias_grad = torch.zeros_like(weight), weight.new_zeros(weight.shape[:3])
        x_grads = []
        with torch.autocast(weight.device.type, enabled=False):
            for (rows, columns), x, grad in zip(ctx.windows, xs, grads, strict=True):
                x_grad = torch.zeros_like(x)
                width = columns.stop - columns.start
                for row, row_grad in enumerate(grad.split(width), start=rows.start):
                    x_grad += torch.bmm(row_grad, weight[:, row, columns].transpose(0, 1)).sum(dim=0)
                    product = torch.bmm(row_grad.transpose(1, 2), x.expand(width, -1, -1))
                    weight_grad[:, row, columns] += product.transpose(0, 1)
                    bias_grad[:, row, columns] += row_grad.sum(dim=1).t()
                x_grads.append(x_grad)
        return weight_grad, bias_grad, None, *x_grads


class Channels(torch.autograd.Function):
    """`bundled_linear`; the weight's gradient is built once, in place."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        crops: Sequence[Crop],
        bundles: Sequence[Sequence[int]],
        *scales_and_xs: Tensor,
    ) -> Any:
        scales, xs = scales_and_xs[: len(crops)], scales_and_xs[len(crops) :]
        ctx.crops = crops
        ctx.save_for_backward(weight, *scales_and_xs)
        return tuple(bundled_linear(weight, bias, crops, bundles, scales, xs))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        weight, *tensors = ctx.saved_tensors
        scales, xs = tensors[: len(ctx.crops)], tensors[len(ctx.crops) :]
        weight_grad, bias_grad = torch.zeros_like(weight), weight.new_zeros(weight.shape[:2])
        x_grads = []
        with torch.autocast(weight.device.type, enabled=False):
            for crop, scale, x, grad in zip(ctx.crops, scales, xs, grads, strict=True):
                part = (slice(crop.out), slice(crop.inputs))
                # (O, I, P), positions of all parameters in the order of x
                y_grad = (grad * scale[:, None, None, None]).permute(1, 2, 3, 0).flatten(2)
                bias_grad[part] += y_grad.sum(dim=-1)
                weight_grad[part].baddbmm_(y_grad, x.flatten(0, 1).expand(crop.out, -1, -1))
                x_grad = torch.einsum("oip,oik->pk", y_grad, weight[part])
                x_grads.append(x_grad.view(x.shape))
        return weight_grad, bias_grad, None, None, *(None for _ in scales), *x_grads
