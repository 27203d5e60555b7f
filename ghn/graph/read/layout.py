"""Which axes of a weight count outputs, inputs and kernel positions.

`Layout` brings a tensor to (stack..., out, in, *kernel): its elements are seen with other sizes where axes must be
split or merged, then permuted. `ghn.hypernet.fit` documents the layout of every kind of parameter, in one table with
what is decoded for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from ghn.graph.record.op_graph import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a parameter is seen as (stack..., out, in, *kernel).

    Attributes:
        view: Sizes as which its elements are seen.
        axes: Permutation of `view` that follows.
        stack: Leading axes, after `axes`, that count independent weights.
        groups: Parts of the outputs that see inputs of their own, one after the other.
    """

    view: tuple[int, ...]
    axes: tuple[int, ...]
    stack: int = 0
    groups: int = 1

    @classmethod
    def plain(cls, shape: tuple[int, ...], stack: int = 0) -> Layout:
        """The parameter as it is."""
        return cls(view=shape, axes=tuple(range(len(shape))), stack=stack)

    @property
    def merged(self) -> tuple[int, ...]:
        """(out, in, *kernel) with the stack counted as output channels."""
        canonical = [self.view[axis] for axis in self.axes]
        return (prod(canonical[: self.stack + 1]), *canonical[self.stack + 1 :])

    def of(self, shape: tuple[int, ...]) -> Layout:
        """The layout of a parameter of another shape that stands beside this one in the same weight."""
        if prod(self.view) == prod(shape):
            return self
        if len(self.view) == len(shape) == len(self.axes):
            return replace(self, view=shape)
        return Layout.plain(shape)


def convolution_layout(parameter: Value, used: Value, *, transposed: bool, groups: int) -> Layout:
    """Layout of a convolution's weight; a transposed one takes (in, out/groups, *kernel).

    Args:
        parameter: The parameter itself.
        used: The weight, a view or a function of the parameter; the strides of a view say where its axes stand in it.
        transposed: Whether the convolution is.
        groups: Its groups.
    """
    is_view = used.storage == parameter.storage and parameter.stride == _row_major(parameter.shape)
    axes = list(zip(used.shape, used.stride if is_view else _row_major(used.shape), strict=True))
    if not transposed:
        return replace(_stored(axes), groups=groups)
    (inputs, step), outputs, *kernel = axes
    if groups == 1:
        return _stored([outputs, (inputs, step), *kernel])
    inputs //= groups
    return _stored([(groups, inputs * step), outputs, (inputs, step), *kernel], stack=1)


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _stored(canonical: list[tuple[int, int]], stack: int = 0) -> Layout:
    """The layout whose canonical axes have these sizes and strides."""
    steps: list[int] = []
    for size, step in canonical:
        # An axis of one element stands anywhere; its stride means nothing.
        steps.append(steps[-1] if size == 1 and steps else step)
    order = sorted(range(len(canonical)), key=lambda axis: -steps[axis])
    axes = tuple(order.index(axis) for axis in range(len(canonical)))
    return Layout(view=tuple(canonical[axis][0] for axis in order), axes=axes, stack=stack)


def mixed_kernel_layout(shape: tuple[int, ...], inner: tuple[int, ...]) -> Layout | None:
    """Layout of kernels that are mixed or modulated by data before a convolution uses them.

    Args:
        shape: Of the parameter: kernels, or a stack of them, whose last axes may be flattened.
        inner: (in/groups, *kernel) of the convolution.

    Returns:
        None if the parameter holds no whole kernels of these sizes.
    """
    for start in range(len(shape) - 1, -1, -1):
        channels, rest = divmod(prod(shape[start:]), prod(inner))
        if shape[start:] == inner and start > 0:
            return Layout.plain(shape, stack=start - 1)
        if start == len(shape) - 1 and channels > 1 and not rest:
            return Layout.plain((*shape[:start], channels, *inner), stack=start)
    return None


def bilinear_layout(shape: tuple[int, ...]) -> Layout:
    """Layout of a bilinear form (out, first in, second in)."""
    return Layout(view=(shape[0], prod(shape[1:])), axes=(0, 1))


def position_layout(shape: tuple[int, ...]) -> Layout:
    """Layout of a position embedding: (t, 1, c), which is added to (t, batch, c), is a table (t, c)."""
    return Layout.plain((shape[0], shape[2]) if len(shape) == 3 and shape[0] > 1 == shape[1] else shape)


def matrix_layout(parameter: Value, used: Value, contracted: int, factors: Sequence[tuple[int, int]] = ()) -> Layout:
    """Layout of a weight that enters a matrix product.

    Args:
        parameter: The parameter itself.
        used: The matrix (or batch of matrices) that a product uses, a view or a function of the parameter.
        contracted: Axis of `used` that the product sums over.
        factors: Sizes and strides in the parameter's memory that make up this axis, as far as they are known.

    Returns:
        Axes that are summed over together stand as one, except those of a kernel (O, I, kh, kw) used as a matrix.
    """
    shape, size = parameter.shape, used.shape[contracted]
    inner = _axes_of(parameter, factors) or _likely_axes(shape, size, last_first=used.stride[contracted] == 1)
    first, last = inner[0], inner[-1]
    outer = [axis for axis in range(len(shape)) if axis not in inner]
    if len(shape) >= 4 and (first, last) == (1, len(shape) - 1):
        return Layout.plain(shape)
    if last - first + 1 > len(inner):
        # What is summed over does not stand side by side: further axes count as kernel positions.
        return Layout(view=shape, axes=(*outer, *inner), stack=max(len(outer) - 1, 0))
    view = (*shape[:first], prod(shape[axis] for axis in inner), *shape[last + 1 :])
    outer = [axis for axis in range(len(view)) if axis != first]
    return Layout(view=view, axes=(*outer, first), stack=max(len(outer) - 1, 0))


def _axes_of(parameter: Value, factors: Sequence[tuple[int, int]]) -> list[int]:
    """The axes of a parameter that have these sizes and strides, alone or several together; none if one is missing."""
    found: set[int] = set()
    runs = sorted(_runs(len(parameter.shape)), key=len)
    for size, step in factors:
        fits = (run for run in runs if parameter.stride[run[-1]] == step and _size(parameter.shape, run) == size)
        run = next(fits, None)
        if run is None:
            return []
        found.update(run)
    return sorted(found) if len(found) < len(parameter.shape) else []


def _likely_axes(shape: tuple[int, ...], size: int, *, last_first: bool) -> Sequence[int]:
    fits = [run for run in _runs(len(shape)) if _size(shape, run) == size]
    fits.sort(key=lambda run: (run[-1] == len(shape) - 1) != last_first)
    return next(iter(fits), range(len(shape) - 1, len(shape)))


def _size(shape: tuple[int, ...], run: range) -> int:
    return prod(shape[run[0] : run[-1] + 1])


def _runs(rank: int) -> list[range]:
    """Neighbouring axes: at the end, at the beginning, single, then all others; never all axes together."""
    ends = [range(start, rank) for start in range(rank - 1, 0, -1)]
    beginnings = [range(stop) for stop in range(1, rank)]
    singles = [range(axis, axis + 1) for axis in range(rank)]
    middles = [range(start, stop) for start in range(1, rank) for stop in range(start + 2, rank)]
    return [*ends, *beginnings, *singles, *middles]


def merged_axes(whole: tuple[int, ...], parts: tuple[int, ...], axis: int) -> range | None:
    """The axes of sizes `parts` that are one axis of the same elements seen with sizes `whole`, if whole axes are."""
    before, size = prod(whole[:axis]), whole[axis]
    for start in range(len(parts)):
        if prod(parts[:start]) != before or (parts[start] == 1 and size > 1):
            continue
        for stop in range(start + 1, len(parts) + 1):
            if prod(parts[start:stop]) == size:
                return range(start, stop)
    return None
