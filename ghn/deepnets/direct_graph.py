"""The computational graph of a DeepNets-1M network straight from its arguments: no module, no trace.

Equal to tracing the network: the same parameters on the same nodes, the same edges up to the order of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.plan import CellPlan, NetworkPlan, plan_connected
from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.read.simplify import UNUSED


def graph_from_arguments(
    net_args: Mapping[str, Any] | NetworkArguments, num_classes: int = 10, image_size: int = 32
) -> ComputationalGraph:
    """The graph of `network_from_arguments` with the same arguments.

    Args:
        net_args: Network arguments as in the published metadata, channels `C` included.
        num_classes: Outputs.
        image_size: Side of the images in pixels.

    Raises:
        ValueError: When the arguments are no network, or its output would not depend on its input.
    """
    return _builder(net_args, num_classes, image_size).build()


def node_cells(net_args: Mapping[str, Any] | NetworkArguments) -> tuple[int, ...]:
    """The cell that each node of `graph_from_arguments` is in; the stem counts to the first, the head to the last."""
    builder = _builder(net_args, num_classes=10, image_size=32)
    builder.build()
    return tuple(builder.cell_of_node)


def _builder(net_args: Mapping[str, Any] | NetworkArguments, num_classes: int, image_size: int) -> _Builder:
    arguments = net_args if isinstance(net_args, NetworkArguments) else NetworkArguments.from_dict(net_args)
    return _Builder(plan_connected(arguments, num_classes, image_size))


class _Builder:
    """Follows the network's forward pass, node by node.

    A layer is added by a method that takes a name, the node that feeds it (None where the layer is unused: its
    parameters are then noted as kept) and returns the node that holds its result.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        self.plan = plan
        self.has_norm = plan.arguments.norm is not None
        self.nodes = [Node("input")]
        self.cell_of_node = [0]
        self.current_cell = 0
        self.edges: list[tuple[int, int]] = []
        self.parameters: dict[str, ParameterSpec] = {}
        self.kept: dict[str, str] = {}

    def build(self) -> ComputationalGraph:
        before, last = self.stem()
        for cell in self.plan.cells:
            self.current_cell = cell.index
            before, last = last, self.cell(cell, before, last)
        assert last is not None
        self.classifier(last)
        return ComputationalGraph(
            nodes=tuple(self.nodes),
            edges=np.array(self.edges, dtype=np.int64),
            parameters=self.parameters,
            kept=self.kept,
            traced_by="genotype",
        )

    # Nodes

    def node(
        self, op: str, sources: Sequence[int], names: tuple[str, ...] = (), shape: tuple[int, ...] | None = None
    ) -> int:
        index = len(self.nodes)
        self.nodes.append(Node(op, names, shape))
        self.cell_of_node.append(self.current_cell)
        self.edges.extend((source, index) for source in sources)
        return index

    def parameter(self, name: str, node: int, shape: tuple[int, ...], role: Role, head: bool = False) -> None:
        self.parameters[name] = ParameterSpec(name=name, node=node, shape=shape, role=role, head=head)

    def merge(self, op: str, sources: Sequence[int]) -> int:
        """A sum or a concatenation, which is a node only where different paths meet."""
        distinct = sorted(set(sources))
        return self.node(op, distinct) if len(distinct) > 1 else distinct[0]

    def weight(
        self, name: str, source: int | None, shape: tuple[int, ...], op: str = "conv", head: bool = False
    ) -> int | None:
        name += ".weight"
        if source is None:
            self.kept[name] = UNUSED
            return None
        node = self.node(op, (source,), (name,), shape)
        self.parameter(name, node, shape, Role.WEIGHT, head)
        return node

    def linear(self, name: str, source: int | None, inputs: int, outputs: int, head: bool = False) -> int | None:
        source = self.weight(name, source, (outputs, inputs), head=head)
        name += ".bias"
        if source is None:
            self.kept[name] = UNUSED
            return None
        node = self.node("bias", (source,), (name,), (outputs,))
        self.parameter(name, node, (outputs,), Role.BIAS, head)
        return node

    def scale_and_shift(self, op: str, name: str, source: int | None, channels: int) -> int | None:
        weight, bias = name + ".weight", name + ".bias"
        if source is None:
            self.kept[weight] = self.kept[bias] = UNUSED
            return None
        node = self.node(op, (source,), (weight, bias), (channels,))
        self.parameter(weight, node, (channels,), Role.NORM_WEIGHT)
        self.parameter(bias, node, (channels,), Role.NORM_BIAS)
        return node

    def norm(self, name: str, source: int | None, channels: int) -> int | None:
        return self.scale_and_shift("bn", name, source, channels) if self.has_norm else source

    def pool(self, op: str, source: int) -> int:
        return self.node(op, (source,), (), (1, 1, 3, 3))

    # Parts of the network

    def stem(self) -> tuple[int | None, int | None]:
        arguments, channels = self.plan.arguments, self.plan.stem_channels
        if arguments.is_vit:
            patches = self.patches(channels)
            return patches, patches
        kernel = (arguments.ks, arguments.ks)
        if arguments.stem_type == 0:
            stem = self.norm("stem.1", self.weight("stem.0", 0, (channels, 3, *kernel)), channels)
            assert stem is not None
            if arguments.stem_pool:
                stem = self.pool("max_pool", stem)
            return stem, stem
        half = channels // 2
        first = self.norm("stem0.1", self.weight("stem0.0", 0, (half, 3, *kernel)), half)
        first = self.norm("stem0.4", self.weight("stem0.3", first, (channels, half, 3, 3)), channels)
        second = first if self.plan.stem_live[1] else None
        second = self.norm("stem1.2", self.weight("stem1.1", second, (channels, channels, 3, 3)), channels)
        return first, second

    def patches(self, channels: int) -> int:
        side, grid = self.plan.patch[0], self.plan.grid
        convolved = self.weight("stem0", 0, (channels, 3, side, side))
        assert convolved is not None
        name, shape = "pos_enc.weight", (1, channels, grid, grid)
        position = self.node("pos_enc", (), (name,), shape)
        self.parameter(name, position, shape, Role.POSITION)
        return self.merge("sum", (convolved, position))

    def cell(self, cell: CellPlan, before: int | None, last: int | None) -> int | None:
        name = f"cells.{cell.index}."
        states: list[int | None] = []
        for position, source in enumerate((before, last)):
            states.append(self.preprocessing(f"{name}preprocess{position}", cell, position, source))
        for pair in range(0, len(cell.edges), 2):
            terms: list[int] = []
            for index in (pair, pair + 1):
                edge = cell.edges[index]
                result = _OPERATIONS[edge.name](
                    self, f"{name}_ops.{index}", states[edge.source] if edge.live else None, cell.channels, edge.stride
                )
                if result is not None:
                    terms.append(result)
            states.append(self.merge("sum", terms) if terms else None)
        outputs = [node for node in (states[state] for state in cell.concat) if node is not None]
        return self.merge("concat", outputs) if cell.live else None

    def preprocessing(self, name: str, cell: CellPlan, position: int, source: int | None) -> int | None:
        plan = cell.inputs[position]
        if not plan.live:
            source = None
        if plan.kind == "identity":
            return source
        if plan.kind == "factorized":
            return self.factorized_reduction(name, source, plan.channels, cell.channels)
        convolved = self.weight(f"{name}.op.1", source, (cell.channels, plan.channels, 1, 1))
        return self.norm(f"{name}.op.2", convolved, cell.channels)

    def factorized_reduction(self, name: str, source: int | None, inputs: int, outputs: int) -> int | None:
        shape = (outputs // 2, inputs, 1, 1)
        halves = [self.weight(f"{name}.{half}", source, shape) for half in ("conv_1", "conv_2")]
        joined = None if source is None else self.merge("concat", [half for half in halves if half is not None])
        return self.norm(f"{name}.bn", joined, outputs)

    def classifier(self, features: int) -> None:
        layers = self.plan.fully_connected
        node: int | None = self.node("glob_avg", (features,)) if self.plan.arguments.glob_avg else features
        for position, (inputs, outputs) in enumerate(layers):
            # Each hidden layer is followed by an activation and a dropout, which have no parameters.
            node = self.linear(f"classifier.{3 * position}", node, inputs, outputs, head=position == len(layers) - 1)


# Operations of cells: (builder, name, node that feeds it or None, channels, stride) -> node that holds the result


def _nothing(builder: _Builder, name: str, source: int | None, channels: int, stride: int) -> int | None:
    return None


def _pooling(op: str, builder: _Builder, name: str, source: int | None, channels: int, stride: int) -> int | None:
    return None if source is None else builder.pool(op, source)


def _skip(builder: _Builder, name: str, source: int | None, channels: int, stride: int) -> int | None:
    return source if stride == 1 else builder.factorized_reduction(name, source, channels, channels)


def _conv(kernel: int, builder: _Builder, name: str, source: int | None, channels: int, stride: int) -> int | None:
    convolved = builder.weight(f"{name}.op.1", source, (channels, channels, kernel, kernel))
    return builder.norm(f"{name}.op.2", convolved, channels)


def _cross_conv(builder: _Builder, name: str, source: int | None, channels: int, stride: int) -> int | None:
    for position, kernel in ((1, (1, 7)), (2, (7, 1))):
        source = builder.weight(f"{name}.op.{position}", source, (channels, channels, *kernel))
    return builder.norm(f"{name}.op.3", source, channels)


def _depthwise(
    op: str,
    kernel: int,
    repeats: int,
    builder: _Builder,
    name: str,
    source: int | None,
    channels: int,
    stride: int,
) -> int | None:
    for position in range(1, 4 * repeats, 4):
        source = builder.weight(f"{name}.op.{position}", source, (channels, 1, kernel, kernel), op)
        source = builder.weight(f"{name}.op.{position + 1}", source, (channels, channels, 1, 1))
        source = builder.norm(f"{name}.op.{position + 2}", source, channels)
    return source


def _attention(builder: _Builder, name: str, source: int | None, channels: int, stride: int) -> int | None:
    node = builder.scale_and_shift("ln", f"{name}.ln1", source, channels)
    node = builder.weight(f"{name}.attn.to_qkv", node, (3 * channels, channels))
    node = None if node is None else builder.node("msa", (node,))
    node = builder.linear(f"{name}.attn.to_out.0", node, channels, channels)
    attended = None if source is None or node is None else builder.merge("sum", (source, node))
    node = builder.scale_and_shift("ln", f"{name}.ln2", attended, channels)
    node = builder.linear(f"{name}.ff.net.0", node, channels, channels)
    node = builder.linear(f"{name}.ff.net.3", node, channels, channels)
    return None if attended is None or node is None else builder.merge("sum", (attended, node))


def _gate(builder: _Builder, name: str, source: int | None, channels: int, stride: int) -> int | None:
    gate = builder.linear(f"{name}.fc1", source, channels, channels // 2)
    gate = builder.linear(f"{name}.fc2", gate, channels // 2, channels)
    return None if source is None or gate is None else builder.node("cse", (source, gate))


_OPERATIONS: dict[str, Callable[[_Builder, str, int | None, int, int], int | None]] = {
    "none": _nothing,
    "max_pool_3x3": partial(_pooling, "max_pool"),
    "avg_pool_3x3": partial(_pooling, "avg_pool"),
    "skip_connect": _skip,
    "sep_conv_3x3": partial(_depthwise, "sep_conv", 3, 2),
    "sep_conv_5x5": partial(_depthwise, "sep_conv", 5, 2),
    "dil_conv_3x3": partial(_depthwise, "dil_conv", 3, 1),
    "dil_conv_5x5": partial(_depthwise, "dil_conv", 5, 1),
    "conv_1x1": partial(_conv, 1),
    "conv_7x1_1x7": _cross_conv,
    "conv_3x3": partial(_conv, 3),
    "conv_5x5": partial(_conv, 5),
    "conv_7x7": partial(_conv, 7),
    "msa": _attention,
    "cse": _gate,
}
