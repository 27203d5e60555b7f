"""The geometry of a network before any module is made: channels, resolutions, strides, and what reaches the output.

The network, its graph and its parameter count are all read off this plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from ghn.deepnets.genotype import Genotype, NetworkArguments, reduction_cells
from ghn.deepnets.operations.record import Operation, halved
from ghn.deepnets.operations.table import RECORDS

LARGE_IMAGE = 128
"""From this side on images get the stem for ImageNet (224), below it the stem for 32×32."""

Preprocessing = Literal["identity", "pointwise", "factorized"]


@dataclass(slots=True, kw_only=True)
class InputPlan:
    """One of the two inputs of a cell.

    Attributes:
        kind: Nothing, a 1×1 convolution, or a factorised reduction that halves the resolution.
        channels: Channels that come in.
        live: Whether it influences the network's output.
    """

    kind: Preprocessing
    channels: int
    live: bool = False


@dataclass(slots=True, kw_only=True)
class EdgePlan:
    """An operation of a cell.

    Attributes:
        operation: What it computes.
        source: The state it reads.
        stride: 1, or 2 in a reduction cell.
        live: Whether it influences the network's output.
    """

    operation: Operation
    source: int
    stride: int
    live: bool = False


@dataclass(slots=True, kw_only=True)
class CellPlan:
    """A cell.

    Attributes:
        index: Its position in the network.
        channels: Channels of each of its states.
        inputs: Inputs 0 (the output of the cell before the last) and 1 (that of the last cell).
        edges: Two for each intermediate node.
        concat: States in the output.
        present: For each of these whether it exists; a missing one is zeros.
        live: Whether the output influences the network's output.
    """

    index: int
    channels: int
    inputs: tuple[InputPlan, InputPlan]
    edges: tuple[EdgePlan, ...]
    concat: tuple[int, ...]
    present: tuple[bool, ...] = ()
    live: bool = False

    @property
    def out_channels(self) -> int:
        """Channels of the concatenation."""
        return self.channels * len(self.concat)

    def operands(self, state: int) -> Iterator[tuple[int, EdgePlan]]:
        """The live edges that are added to give intermediate state 2, 3, …, with their indices."""
        for index in (2 * state - 4, 2 * state - 3):
            if self.edges[index].live:
                yield index, self.edges[index]


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """A network.

    Attributes:
        arguments: What it was planned from.
        num_classes: Outputs.
        image_size: Side of the (square) images in pixels.
        cells: In order.
        stem_live: Whether the stem's two outputs influence the network's output (input 0 and 1 of the first cell).
    """

    arguments: NetworkArguments
    num_classes: int
    image_size: int
    cells: tuple[CellPlan, ...]
    stem_live: tuple[bool, bool]

    @property
    def depends_on_input(self) -> bool:
        """Whether any path leads from the images to the output."""
        return self.cells[-1].live

    @property
    def large_images(self) -> bool:
        """Whether the images are as large as ImageNet's."""
        return self.image_size >= LARGE_IMAGE

    @property
    def patch(self) -> tuple[int, int, int]:
        """Kernel, stride and padding of a vision transformer's stem."""
        return (16, 16, 0) if self.large_images else (3, 3, 1)

    @property
    def grid(self) -> int:
        """Side of a vision transformer's feature map."""
        kernel, stride, padding = self.patch
        return (self.image_size + 2 * padding - kernel) // stride + 1

    @property
    def stem_channels(self) -> int:
        """Channels that the stem hands to the cells."""
        return stem_channels(self.arguments, self.large_images)

    @property
    def stem_stride(self) -> int:
        """Stride of stem type 0, or of each of the first two convolutions of type 1."""
        if not self.large_images:
            return 1
        return self.arguments.imagenet_stride if self.arguments.stem_type == 0 else 2

    @cached_property
    def final_side(self) -> int:
        """Side of the last feature map."""
        if self.arguments.is_vit:
            return self.grid
        side = halved(self.image_size, self.stem_stride)
        if self.arguments.stem_type == 1:
            side = halved(halved(side, self.stem_stride))
        elif self.arguments.stem_pool:
            side = halved(side)
        for _ in reduction_cells(len(self.cells)):
            side = halved(side)
        return side

    @property
    def features(self) -> int:
        """Inputs of the first fully connected layer."""
        channels = self.cells[-1].out_channels
        return channels if self.arguments.glob_avg else channels * self.final_side**2

    @property
    def fully_connected(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of each fully connected layer."""
        widths = (self.features, *(self.arguments.fc_dim,) * (self.arguments.fc_layers - 1), self.num_classes)
        return tuple(pairwise(widths))


def plan_network(arguments: NetworkArguments, num_classes: int = 10, image_size: int = 32) -> NetworkPlan:
    """Work out channels, strides and liveness.

    Args:
        arguments: What defines the network.
        num_classes: Outputs.
        image_size: Side of the images in pixels.

    Raises:
        ValueError: When there is no class, or the images are too small.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, not {num_classes}")
    if image_size < 8:
        raise ValueError(f"image_size must be at least 8 pixels, not {image_size}")
    cells = tuple(_plan_cells(arguments, stem_channels(arguments, image_size >= LARGE_IMAGE)))
    _mark_present(cells)
    stem_live = _mark_live(cells)
    return NetworkPlan(
        arguments=arguments, num_classes=num_classes, image_size=image_size, cells=cells, stem_live=stem_live
    )


def plan_connected(arguments: NetworkArguments, num_classes: int = 10, image_size: int = 32) -> NetworkPlan:
    """As `plan_network`, for networks that compute something.

    Raises:
        ValueError: Also when the output would not depend on the input.
    """
    plan = plan_network(arguments, num_classes, image_size)
    if not plan.depends_on_input:
        raise ValueError("this genotype's `none` operations cut the output off from the input; draw another one")
    return plan


def stem_channels(arguments: NetworkArguments, large_images: bool) -> int:
    """Channels that the stem hands to the cells."""
    tripled = not large_images and not arguments.is_vit and arguments.stem_type == 0 and arguments.preproc
    return 3 * arguments.C if tripled else arguments.C


def _plan_cells(arguments: NetworkArguments, channels_in: int) -> Iterator[CellPlan]:
    before, last = channels_in, channels_in
    channels = arguments.C
    reductions = reduction_cells(arguments.n_cells)
    # The stem of type 1 hands its first half over at twice the resolution of its second.
    halve = arguments.stem_type == 1
    for index in range(arguments.n_cells):
        is_reduction = index in reductions
        if is_reduction:
            channels *= arguments.C_mult
        stride = 2 if is_reduction and not arguments.is_vit else 1
        edges, concat = _cell_of(arguments.genotype, is_reduction)
        plain: Preprocessing = "pointwise" if arguments.preproc else "identity"
        cell = CellPlan(
            index=index,
            channels=channels,
            inputs=(
                InputPlan(kind="factorized" if halve and not arguments.is_vit else plain, channels=before),
                InputPlan(kind=plain, channels=last),
            ),
            edges=tuple(
                EdgePlan(operation=RECORDS[name], source=source, stride=stride if source < 2 else 1)
                for name, source in edges
            ),
            concat=concat,
        )
        before, last = last, cell.out_channels
        halve = is_reduction
        yield cell


def _cell_of(genotype: Genotype, is_reduction: bool) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...]]:
    if is_reduction:
        return genotype.reduce, genotype.reduce_concat
    return genotype.normal, genotype.normal_concat


def _pairs(cell: CellPlan) -> Iterator[tuple[EdgePlan, EdgePlan]]:
    return zip(cell.edges[::2], cell.edges[1::2], strict=True)


def _mark_present(cells: tuple[CellPlan, ...]) -> None:
    """Follow `none` forwards: live for now are edges that read a state which exists, and cells that give anything."""
    outputs = [True, True]
    for cell in cells:
        states = outputs[-2:]
        for pair in _pairs(cell):
            for edge in pair:
                edge.live = edge.operation.gives and states[edge.source]
            states.append(pair[0].live or pair[1].live)
        cell.present = tuple(states[state] for state in cell.concat)
        cell.live = any(cell.present)
        outputs.append(cell.live)


def _mark_live(cells: tuple[CellPlan, ...]) -> tuple[bool, bool]:
    """Follow the output backwards: live stays only what reaches it. Returns whether the stem's two outputs do."""
    needed = [False] * (len(cells) + 1) + [cells[-1].live]
    for cell in reversed(cells):
        cell.live = cell.live and needed[cell.index + 2]
        states = [False] * (len(cell.edges) // 2 + 2)
        if cell.live:
            for state, present in zip(cell.concat, cell.present, strict=True):
                states[state] = present
        for position, pair in reversed(list(enumerate(_pairs(cell)))):
            for edge in pair:
                edge.live = edge.live and states[position + 2]
                if edge.live:
                    states[edge.source] = True
        for position, plan in enumerate(cell.inputs):
            plan.live = states[position]
            needed[cell.index + position] |= plan.live
    return needed[0], needed[1]


def count_parameters(plan: NetworkPlan) -> int:
    """Elements of all parameters of a network, used or not, without building it."""
    arguments = plan.arguments
    norm = 0 if arguments.norm is None else 2
    total = _stem_parameters(plan, norm)
    for cell in plan.cells:
        total += sum(_preprocessing_parameters(source, cell.channels, norm) for source in cell.inputs)
        total += sum(edge.operation.parameters(cell.channels, edge.stride, norm > 0) for edge in cell.edges)
    return total + sum((inputs + 1) * outputs for inputs, outputs in plan.fully_connected)


def _stem_parameters(plan: NetworkPlan, norm: int) -> int:
    C, ks = plan.arguments.C, plan.arguments.ks
    if plan.arguments.is_vit:
        return 3 * C * plan.patch[0] ** 2 + C * plan.grid**2
    if plan.arguments.stem_type == 0:
        return (3 * ks**2 + norm) * plan.stem_channels
    return (3 * ks**2 + norm) * (C // 2) + (9 * (C // 2) + norm) * C + (9 * C + norm) * C


def _preprocessing_parameters(source: InputPlan, channels: int, norm: int) -> int:
    return 0 if source.kind == "identity" else (source.channels + norm) * channels
