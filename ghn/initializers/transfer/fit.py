"""A tensor of one shape out of one of another: evenly spaced elements of larger axes, even repeats of smaller ones.

Sources: uniform element selection (Xu et al., Initializing Models with Larger Ones, ICLR 2024, section 3.1); inputs
that are repeated share their weight (Chen, Goodfellow & Shlens, Net2Net, ICLR 2016), so that what a layer computes
stays where the layer before it was repeated alike.

Legend: O output channels, I input channels, k... the kernel's sizes, n elements of the source's axis, m of ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def even_indices(n: int, m: int) -> Tensor:
    """Which of n elements are ours, (m,) int64: every (n/m)-th, or the nearest to m points from the first to the last.

    Of fewer elements than ours each is taken ⌊m/n⌋ or ⌈m/n⌉ times in a row.
    """
    if m > n:
        return torch.arange(m) * n // m
    if n % m == 0:
        return torch.arange(m) * (n // m)
    return torch.linspace(0, n - 1, m).round().long()


def select(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Evenly along each axis.

    Args:
        tensor: As many axes as `shape`.
        shape: Ours.
    """
    for axis, m in enumerate(shape):
        if tensor.shape[axis] != m:
            tensor = tensor.index_select(axis, even_indices(tensor.shape[axis], m).to(tensor.device))
    return tensor


def fit_vector(vector: Tensor, shape: Sequence[int]) -> Tensor:
    """A norm's or bias's elements; along each axis where there are as many, else all in a row."""
    if vector.dim() == len(shape):
        return select(vector, shape)
    return select(vector.flatten(), (math.prod(shape),)).view(tuple(shape))


def fit_weight(weight: Tensor, stack: int, shape: Sequence[int], own_stack: int, *, depthwise: bool) -> Tensor:
    """A layer's weight.

    Args:
        weight: Of the source, (stack..., O, I, k...).
        stack: Its stacked axes.
        shape: Ours, (stack..., O, I, k...).
        own_stack: Our stacked axes.
        depthwise: Whether our layer convolves each channel by itself and the source's does not.
    """
    stacked = tuple(shape[:own_stack])
    if stack != own_stack:
        # Their members count as output channels: heads of attention stand side by side in an ordinary weight.
        weight, shape = weight.flatten(0, stack), (math.prod(shape[: own_stack + 1]), *shape[own_stack + 1 :])
        stack = 0
    outer, inputs = tuple(shape[: stack + 1]), shape[stack + 1]
    if depthwise:
        weight = _mean_of_inputs(weight, stack + 1)
    weight = fit_kernel(weight, stack + 2, shape[stack + 2 :])
    n = weight.shape[stack + 1]
    if inputs > n:
        shares = even_indices(n, inputs).bincount(minlength=n).to(weight)
        weight = weight / shares.view(-1, *(1,) * (weight.dim() - stack - 2))
    weight = select(weight, (*outer, inputs, *weight.shape[stack + 2 :]))
    return weight if len(stacked) == stack else weight.reshape(*stacked, -1, *weight.shape[1:])


def _mean_of_inputs(weight: Tensor, axis: int) -> Tensor:
    """One kernel of each output: the mean over its inputs, with the norm that they have together."""
    mean = weight.mean(axis, keepdim=True)
    inner = tuple(range(axis, weight.dim()))
    whole, left = weight.square().sum(inner, keepdim=True).sqrt(), mean.square().sum(inner, keepdim=True).sqrt()
    return mean * whole / left.clamp_min(torch.finfo(weight.dtype).tiny)


def fit_kernel(weight: Tensor, start: int, kernel: Sequence[int]) -> Tensor:
    """A kernel of other sizes.

    Kernels with a middle keep it: larger ones are cut and smaller ones surrounded by zeros, after which a layer
    computes the same. Patches, whose sides are even, are cut into other positions, and keep their sum.

    Args:
        weight: Whose axes from `start` on are those of the kernel; there may be fewer or more than ours.
        start: How many axes are before them.
        kernel: Ours; none for a linear layer.
    """
    missing = len(kernel) - (weight.dim() - start)
    weight = weight.reshape(*weight.shape[:start], *(1,) * missing, *weight.shape[start:])
    wanted = (*(1,) * -missing, *kernel)
    for axis, m in enumerate(wanted, start):
        n = weight.shape[axis]
        if n % 2 == m % 2 == 1:
            weight = _about_the_middle(weight, axis, m)
        elif n != m:
            weight = (weight.movedim(axis, -1) @ _shares(n, m).to(weight)).movedim(-1, axis)
    return weight.reshape(*weight.shape[:start], *kernel)


def _about_the_middle(weight: Tensor, axis: int, m: int) -> Tensor:
    n = weight.shape[axis]
    if m <= n:
        return weight.narrow(axis, (n - m) // 2, m)
    padded = weight.new_zeros(*weight.shape[:axis], m, *weight.shape[axis + 1 :])
    padded.narrow(axis, (m - n) // 2, n).copy_(weight)
    return padded


def _shares(n: int, m: int) -> Tensor:
    """Of each of n pieces of a line the share that lies in each of m pieces of the same line, (n, m)."""
    # In units of 1/(n m) of the line, where all edges are integers.
    begins_n, begins_m = torch.arange(n)[:, None] * m, torch.arange(m)[None] * n
    overlap = torch.minimum(begins_n + m, begins_m + n) - torch.maximum(begins_n, begins_m)
    return overlap.clamp_min(0).double() / m


LEADING = 5
"""More rows than a square of positions than these (class, distillation and register tokens) are no square's."""


def fit_positions(table: Tensor, shape: Sequence[int]) -> Tensor:
    """A position embedding: squares of positions are interpolated, rows that lead them and channels selected.

    Args:
        table: Of the source: (1, t, c), (t, c) or (c, h, w), or whatever has as many axes as ours.
        shape: Ours.
    """
    if len(shape) != table.dim():
        table = table.reshape(*(1,) * (len(shape) - table.dim()), *table.shape) if len(shape) > table.dim() else table
        table = table.reshape(table.shape[-len(shape) :]) if table.shape[: -len(shape)].numel() == 1 else table
    if len(shape) != table.dim():
        return fit_vector(table, shape)
    rows = len(shape) - 2
    if rows >= 0 and math.prod(table.shape[:rows]) == math.prod(shape[:rows]) == 1:
        flat = _fit_rows(table.reshape(table.shape[rows:]), shape[rows])
        return select(flat, shape[rows:]).reshape(tuple(shape))
    if len(shape) >= 3 and table.shape[-2:] != tuple(shape[-2:]):
        flat = table.reshape(1, -1, *table.shape[-2:])
        table = _resized(flat, shape[-2], shape[-1]).view(*table.shape[:-2], *shape[-2:])
    return select(table, shape)


def _fit_rows(table_tc: Tensor, rows: int) -> Tensor:
    """As many positions; the squares of both tables match, and what leads them is selected."""
    if len(table_tc) == rows:
        return table_tc
    (theirs, lead), (ours, own_lead) = (divmod_square(count) for count in (len(table_tc), rows))
    if lead >= LEADING or own_lead >= LEADING or not theirs or not ours:
        return F.interpolate(table_tc.T[None], rows, mode="linear")[0].T
    square = table_tc[lead:].T.reshape(1, -1, theirs, theirs)
    leading = table_tc[:lead] if lead else table_tc.mean(0, keepdim=True)
    resized = _resized(square, ours, ours).flatten(2)[0].T
    return torch.cat([select(leading, (own_lead, table_tc.shape[1])), resized]) if own_lead else resized


def divmod_square(count: int) -> tuple[int, int]:
    """The side of the largest square of at most so many elements, and how many are left."""
    side = math.isqrt(count)
    return side, count - side * side


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    if images.shape[-2:] == (height, width):
        return images
    return F.interpolate(images, (height, width), mode="bicubic", antialias=True)


def fit_offsets(table: Tensor, shape: Sequence[int]) -> Tensor:
    """A table of relative positions in a window, (offsets, heads): squares of offsets are interpolated."""
    if table.dim() == len(shape) == 2 and len(table) != shape[0]:
        (theirs, left), (ours, own_left) = divmod_square(len(table)), divmod_square(shape[0])
        if left == own_left == 0:
            table = _resized(table.T.reshape(1, -1, theirs, theirs), ours, ours).flatten(2)[0].T
    return select(table, shape)
