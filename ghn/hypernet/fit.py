"""How a parameter is cut from what the decoders produce, tiled and scaled (GHN-3, Knyazev et al., ICML 2023).

Legend: n parameters of one shape, O, I output and input channels, o, i those that the decoder produces, T repeats of a
kernel, kh × kw kernel (h, w in names), S the decoder's spatial side, C classes, t positions of a table, c its channels,
r its random rows, e elements of a vector.

Every parameter is decoded in one of two ways.

**Vectors** (norm weights, norm biases, biases, of any shape): flattened to e elements in the order of their canonical
axes, decoded as a row of `max_channels` values, cut to e or repeated cyclically. Norm weights are 2σ(x/2), biases
tanh(0.2 x). The head's bias has C elements and a layer of its own.

**Kernels** are seen as (O, I, T, kh, kw), decoded as (o, i, kh, kw) with o = min(O, O_max) and i = min(I, I_max), then
repeated cyclically along O and I and cut, and repeated T times. The canonical shape is (stack..., out, in, *kernel):
the tensor seen with the sizes `spec.view`, where axes must be split or merged, then permuted by `spec.axes`.

==========================  ==============================================================================
canonical shape             (O, I, T, kh, kw)
==========================  ==============================================================================
()                          (1, 1, 1, 1, 1): 0-d parameters; a 1-element one alike
(out)                       (out, 1, 1, 1, 1): a weight per channel, like a depthwise 1×1 kernel
(out, in)                   (out, in, 1, 1, 1): linear layers
(out, in, k)                (out, in, 1, k, 1): 1-D kernels are columns
(out, in, kh, kw)           (out, in, 1, kh, kw)
(out, in, ..., kh, kw)      (out, in, T, kh, kw): 3-D kernels are 2-D ones repeated along their first axes
(stack..., out, in, ...)    the stack is merged into O, so that its members differ where O ≤ O_max
head weight                 (C, I, T, kh, kw): decoded with O_max channels, which a layer of its own turns into C
==========================  ==============================================================================

How parameters are stored (g groups, E members of a stack, h heads of d features, k... the kernel's sizes; one part of a
shape in brackets is an axis that others were merged into):

=======================================  ==========================  ====================
parameter                                seen as                     canonical (| stack)
=======================================  ==========================  ====================
convolution (O, I/g, k...)               itself                      itself
the same flattened or permuted           sizes in memory             (O, I/g, k...)
transposed convolution (I, O, k...)      itself                      (O, I, k...)
the same with groups (I, O/g, k...)      (g, I/g, O/g, k...)         (g | O/g, I/g, k...)
matrix (O, I) or (I, O)                  itself                      (O, I)
stack of matrices (E, O, I), (E, I, O)   itself                      (E | O, I)
input weights of heads (I, h, d)         itself                      (h | d, I)
output weights of heads (h, d, O)        ([h·d], O)                  (O, [h·d])
bilinear form (O, I₁, I₂)                (O, [I₁·I₂])                (O, [I₁·I₂])
mixed kernels (E, O, I/g, k...)          itself                      (E | O, I/g, k...)
the same flattened (E, O·I/g·k...)       (E, O, I/g, k...)           (E | O, I/g, k...)
modulated kernel (O, I/g, k...)          itself                      itself
position embedding (t, 1, c)             (t, c)                      (t, c)
=======================================  ==========================  ====================

Weights are multiplied by sqrt(β / fan_in) with fan_in = I·T·kh·kw, the elements per output channel (stack axes are
no part of it), and β = 2, except β = 1 where I = 1 (depthwise) and for kernels wider than high. So a channel of a
grouped transposed convolution is made from I/g input channels, an output of attention from the features of all heads,
an output of a bilinear form from all pairs of its inputs (it is a linear layer of their products), and every kernel of
a mixture is scaled as one that is used alone. Kernels with a side over S are decoded as S × S and interpolated
bilinearly.

**Position embeddings** are kernels that are not scaled. With s = ⌊√t⌋:

==========================  ==============================================================================
canonical shape             decoded as
==========================  ==============================================================================
(1, t, c), (t, c), (t)      (1, c, 1, s, s) whose positions are the rows of the table, if t = s²;
                            the same after 1 to 4 leading rows drawn from N(0, 0.02²), if t = s² + 1 … s² + 4
                            (class, distillation and register tokens); any other t: (1, c, 1, t, 1)
(c, h, w), c > 1            (1, c, 1, h, w)
(out, c, ..., h, w)         (out, c, T, h, w)
==========================  ==============================================================================

The leading rows come from a generator of their own on the CPU, in the order of the graph's parameters: they depend on
the seed only, not on the device, on the batch or on the process's random state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ghn.graph.computational_graph import ParameterSpec, Role
from ghn.hypernet.config import GHNConfig
from ghn.hypernet.sliced_linear import Crop

LEADING_ROWS = 4
LEADING_ROW_STD = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFit:
    """How a vector is decoded.

    Attributes:
        spec: The parameter.
        row: Row of the 1-D decoder: 0 for norm weights, 1 for biases.
        head: Whether the head's own layer makes it.
    """

    spec: ParameterSpec
    row: int
    head: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.spec.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFit:
    """How a kernel is decoded.

    Attributes:
        spec: The parameter.
        shape: (O, I, T, kh, kw).
        crop: What the decoder produces.
        scale: Factor.
        head: Whether the head's own layer follows the decoder.
        table: Whether it is a table of positions (rows of c channels), to which the kernel's positions are the rows.
        leading: Rows of the table that are drawn at random.
    """

    spec: ParameterSpec
    shape: tuple[int, int, int, int, int]
    crop: Crop
    scale: float = 1.0
    head: bool = False
    table: bool = False
    leading: int = 0

    @property
    def interpolated(self) -> bool:
        """Whether the kernel is larger than what the decoder produces."""
        return (self.crop.height, self.crop.width) != self.shape[3:]

    @property
    def merges_axes(self) -> bool:
        """Whether several axes of the parameter become one: stacked weights, kernels of 3 and more dimensions."""
        return self.spec.stack > 0 or len(self.spec.view) > 4


def fit_of(spec: ParameterSpec, config: GHNConfig, *, head: bool) -> VectorFit | KernelFit:
    """How `spec` is decoded by a hypernetwork of `config`; `head` says whether as the classification head."""
    if spec.role in (Role.BIAS, Role.NORM_BIAS, Role.NORM_WEIGHT):
        return VectorFit(spec=spec, row=0 if spec.role is Role.NORM_WEIGHT else 1, head=head)
    if spec.role is Role.POSITION:
        return _position_fit(spec, config)
    stack = math.prod(spec.canonical_shape[: spec.stack])
    out, inputs, repeats, height, width = _kernel_shape(spec.canonical_shape[spec.stack :])
    shape = (stack * out, inputs, repeats, height, width)
    beta = 1 if inputs == 1 or width > height else 2
    scale = math.sqrt(beta / (inputs * repeats * height * width))
    return KernelFit(spec=spec, shape=shape, crop=_crop(shape, config, head), scale=scale, head=head)


def _position_fit(spec: ParameterSpec, config: GHNConfig) -> KernelFit:
    canonical = spec.canonical_shape
    if len(canonical) == 3 and canonical[0] > 1:
        canonical = (1, *canonical)
    if len(canonical) >= 4:
        shape = _kernel_shape(canonical)
        return KernelFit(spec=spec, shape=shape, crop=_crop(shape, config, False))
    positions, channels = canonical[-2:] if len(canonical) >= 2 else (math.prod(canonical), 1)
    side = math.isqrt(positions)
    leading = positions - side * side
    height, width = (side, side) if leading <= LEADING_ROWS else (positions, 1)
    shape = (1, channels, 1, height, width)
    leading = leading if leading <= LEADING_ROWS else 0
    return KernelFit(spec=spec, shape=shape, crop=_crop(shape, config, False), table=True, leading=leading)


def _kernel_shape(canonical: tuple[int, ...]) -> tuple[int, int, int, int, int]:
    """(out, in, *kernel) as (O, I, T, kh, kw)."""
    out, inputs, *kernel = (*canonical, 1, 1)[: max(2, len(canonical))]
    if len(kernel) < 2:
        kernel = [*kernel, 1, 1][:2]
    return out, inputs, math.prod(kernel[:-2]), kernel[-2], kernel[-1]


def _crop(shape: tuple[int, int, int, int, int], config: GHNConfig, head: bool) -> Crop:
    out, inputs, _, height, width = shape
    if max(height, width) > config.spatial:
        height = width = config.spatial
    return Crop(
        out=config.max_channels if head else min(out, config.max_channels),
        inputs=min(inputs, config.max_channels),
        height=height,
        width=width,
    )


def activate(vectors_nL: Tensor, row: int) -> Tensor:
    """Decoded values as norm weights (row 0), 2σ(x/2), or biases (row 1), tanh(0.2 x); rows have any length L."""
    return 2 * torch.sigmoid(0.5 * vectors_nL) if row == 0 else torch.tanh(0.2 * vectors_nL)


def interpolate(core_noiSS: Tensor, fit: KernelFit) -> Tensor:
    """Resize decoded kernels (n, o, i, S, S) to the kernel size of `fit`."""
    if not fit.interpolated:
        return core_noiSS
    channels = core_noiSS.shape[1:3]
    resized_nchw = F.interpolate(core_noiSS.flatten(1, 2), size=fit.shape[3:], mode="bilinear", align_corners=False)
    return resized_nchw.unflatten(1, channels)


def leading_rows(tables: Sequence[Sequence[KernelFit]], seed: int) -> list[dict[str, Tensor]]:
    """Random leading rows of position tables.

    Args:
        tables: For each graph, the tables that have some, in the order of the graph's parameters.
        seed: Of the generator that each graph's rows are drawn from.

    Returns:
        For each graph, (r, c) float32 on the CPU by parameter name.
    """
    drawn: list[dict[str, Tensor]] = []
    for fits in tables:
        generator = torch.Generator().manual_seed(seed)
        drawn.append({fit.spec.name: _draw(fit, generator) for fit in fits})
    return drawn


def _draw(fit: KernelFit, generator: torch.Generator) -> Tensor:
    return torch.randn(fit.leading, fit.shape[1], generator=generator, device="cpu") * LEADING_ROW_STD


def tile(core_noihw: Tensor, fit: KernelFit) -> Tensor:
    """Repeat decoded kernels to full size, differentiably.

    Args:
        core_noihw: (n, o, i, kh, kw), scaled and interpolated.
        fit: One of the n parameters, which all have the same shape.

    Returns:
        (n, O, I, T, kh, kw).
    """
    out, inputs, repeats, *_ = fit.shape
    kernels_nOIhw = _repeat(_repeat(core_noihw, 2, inputs), 1, out)
    return kernels_nOIhw[:, :, :, None].expand(-1, -1, -1, repeats, -1, -1)


def _repeat(x: Tensor, dim: int, size: int) -> Tensor:
    """Repeat `x` cyclically along `dim`, cut to `size`."""
    times = -(-size // x.shape[dim])
    if times > 1:
        x = x.unsqueeze(dim).expand(*x.shape[:dim], times, *x.shape[dim:]).flatten(dim, dim + 1)
    return x.narrow(dim, 0, size)


def to_parameter(kernel_OIThw: Tensor, fit: KernelFit, leading_rc: Tensor | None) -> Tensor:
    """Bring one tiled kernel (O, I, T, kh, kw) to the parameter's own shape, differentiably.

    Args:
        kernel_OIThw: From `tile`.
        fit: The parameter.
        leading_rc: Its random rows, for a table that has some.
    """
    if not fit.table:
        return _from_canonical(kernel_OIThw, fit.spec)
    table_tc = kernel_OIThw[0, :, 0].flatten(1).t()
    if leading_rc is not None:
        table_tc = torch.cat([leading_rc.to(table_tc), table_tc])
    return _from_canonical(table_tc, fit.spec)


def _from_canonical(values: Tensor, spec: ParameterSpec) -> Tensor:
    return values.reshape(spec.canonical_shape).permute(_inverse(spec.axes)).reshape(spec.shape)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def write_kernel(core_oihw: Tensor, fit: KernelFit, destination: Tensor, leading_rc: Tensor | None = None) -> None:
    """Tile one decoded kernel straight into its parameter; nothing of the parameter's size is built.

    Args:
        core_oihw: (o, i, kh, kw), scaled and interpolated; on any device and of any floating-point type.
        fit: How the parameter is decoded.
        destination: The parameter, of any strides, device and floating-point type.
        leading_rc: Its random rows, for a table that has some.
    """
    core_oihw = core_oihw.to(destination.device, destination.dtype)
    seen = _seen_as(destination, fit.spec.view)
    if seen is None:
        # Axes of a strided tensor that are to be merged: like merged axes below, a case for a tensor of full size.
        whole = torch.empty_like(destination, memory_format=torch.contiguous_format)
        write_kernel(core_oihw, fit, whole, leading_rc)
        destination.copy_(whole)
        return
    canonical = seen.permute(fit.spec.axes)
    if fit.table:
        table_tc = canonical.view(-1, fit.shape[1])
        if leading_rc is not None:
            table_tc[: fit.leading] = leading_rc.to(destination.device, destination.dtype)
        _tile_into(table_tc[fit.leading :].t().view(fit.shape), core_oihw)
    elif canonical.is_contiguous() or not fit.merges_axes:
        _tile_into(canonical.view(fit.shape), core_oihw)
    else:
        # Merged axes of a permuted tensor have no common stride, so that a tensor of full size is needed.
        whole = torch.empty_like(canonical, memory_format=torch.contiguous_format)
        _tile_into(whole.view(fit.shape), core_oihw)
        canonical.copy_(whole)


def _seen_as(tensor: Tensor, view: tuple[int, ...]) -> Tensor | None:
    """A view of the tensor's elements in their order, None where its strides allow none."""
    if tuple(tensor.shape) == view:
        return tensor
    seen = tensor.reshape(view)
    return seen if seen.data_ptr() == tensor.data_ptr() else None


def _tile_into(kernel_OIThw: Tensor, core_oihw: Tensor) -> None:
    """Repeat `core_oihw` cyclically in `kernel_OIThw`: whole tiles, then the margins."""
    core_oi1hw = core_oihw.unsqueeze(2)
    if kernel_OIThw.shape[:2] == core_oi1hw.shape[:2]:
        kernel_OIThw.copy_(core_oi1hw)
        return
    out, inputs, *sides = kernel_OIThw.shape
    for rows, height, row_tiles in _tiles(out, core_oi1hw.shape[0]):
        for columns, width, column_tiles in _tiles(inputs, core_oi1hw.shape[1]):
            # (tiles along O, o, tiles along I, i, T, kh, kw)
            block = kernel_OIThw[rows, columns].view(row_tiles, height, column_tiles, width, *sides)
            block.copy_(core_oi1hw[:height, None, :width])


def _tiles(size: int, side: int) -> list[tuple[slice, int, int]]:
    """Cover `size` by tiles of `side` and one smaller margin: (range, side, number of tiles)."""
    whole = size - size % side
    tiles = [(slice(0, whole), side, whole // side)] if whole else []
    return tiles if whole == size else [*tiles, (slice(whole, size), size - whole, 1)]


def squared_norms(core_noihw: Tensor, fit: KernelFit) -> Tensor:
    """Sum of squares (n,), float64, of each of n tiled kernels, from their cores (n, o, i, kh, kw), without tiling."""
    out, inputs, repeats = fit.shape[:3]
    (row_tiles, rows), (column_tiles, columns) = (
        divmod(size, side) for size, side in zip((out, inputs), core_noihw.shape[1:3], strict=True)
    )
    parts_noihw = [
        (row_tiles * column_tiles, core_noihw),
        (column_tiles, core_noihw[:, :rows]),
        (row_tiles, core_noihw[:, :, :columns]),
        (1, core_noihw[:, :rows, :columns]),
    ]
    parts_noihw = [(times, part_noihw) for times, part_noihw in parts_noihw if part_noihw.numel()]
    dtype = torch.promote_types(core_noihw.dtype, torch.float32)
    norms = [torch.linalg.vector_norm(part, dim=(1, 2, 3, 4), dtype=dtype) for _, part in parts_noihw]
    # On the CPU: not every device has double precision.
    norms_Pn = torch.stack(norms).cpu().double()
    times_P = torch.tensor([times for times, _ in parts_noihw], dtype=torch.float64, device="cpu")
    return repeats * (times_P @ norms_Pn.square())


def write_vector(values_e: Tensor, fit: VectorFit, destination: Tensor) -> None:
    """Copy the e elements of a vector to its parameter, of any strides, device and floating-point type."""
    destination.copy_(vector_to_parameter(values_e, fit))


def vector_to_parameter(values_e: Tensor, fit: VectorFit) -> Tensor:
    """Bring the e elements of a vector to the parameter's own shape, differentiably."""
    return _from_canonical(values_e, fit.spec)
