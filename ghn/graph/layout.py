"""Which axes of a weight count outputs, inputs and kernel positions.

`ParameterSpec.axes` brings a tensor to (stack..., out, in, *kernel).
"""

from __future__ import annotations

from math import prod

from ghn.graph.record import Value


def convolution_axes(rank: int, *, transposed: bool, groups: int) -> tuple[int, ...]:
    """Axes of a convolution's weight; a transposed one without groups stores (in, out, *kernel)."""
    if transposed and groups == 1:
        return (1, 0, *range(2, rank))
    return tuple(range(rank))


def matrix_axes(parameter: Value, used: Value, contracted: int) -> tuple[tuple[int, ...], int]:
    """Axes of a weight that enters a matrix product, and how many of them are stacked.

    Args:
        parameter: The parameter itself.
        used: The matrix (or batch of matrices) that a product uses, a view or a function of the parameter.
        contracted: Axis of `used` that the product sums over.

    Returns:
        The permutation to (stack..., out, in...), and the number of stack axes.
    """
    shape, size = parameter.shape, used.shape[contracted]
    rank = len(shape)
    inner = [
        axis
        for axis in range(rank)
        if shape[axis] == size
        and parameter.stride[axis] == used.stride[contracted]
        and used.storage == parameter.storage
    ]
    if len(inner) != 1:
        inner = next(
            (
                axes
                for axes in _runs(rank, last_first=used.stride[contracted] == 1)
                if prod(shape[a] for a in axes) == size
            ),
            [rank - 1],
        )
    outer = [axis for axis in range(rank) if axis not in inner]
    return (*outer, *inner), max(len(outer) - 1, 0)


def _runs(rank: int, *, last_first: bool) -> list[list[int]]:
    """Proper runs of axes at either end, then single axes."""
    tails = [list(range(start, rank)) for start in range(rank - 1, 0, -1)]
    heads = [list(range(stop)) for stop in range(1, rank)]
    return [*(tails + heads if last_first else heads + tails), *([axis] for axis in range(rank))]
