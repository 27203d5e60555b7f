"""The computational graph of a DeepNets-1M network straight from its arguments: no module, no trace.

Equal to tracing the network: the same parameters on the same nodes, the same edges up to the order of nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.deepnets.plan import CellPlan, NetworkPlan, plan_connected
from ghn.graph.computational_graph import ComputationalGraph, Role


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


class _Builder(GraphBuilder):
    """Follows the network's forward pass, node by node."""

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__(has_norm=plan.arguments.norm is not None)
        self.plan = plan

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
                source = states[edge.source] if edge.live else None
                result = edge.operation.nodes(self, f"{name}_ops.{index}", source, cell.channels, edge.stride)
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

    def classifier(self, features: int) -> None:
        layers = self.plan.fully_connected
        node: int | None = self.node("glob_avg", (features,)) if self.plan.arguments.glob_avg else features
        for position, (inputs, outputs) in enumerate(layers):
            # Each hidden layer is followed by an activation and a dropout, which have no parameters.
            node = self.linear(f"classifier.{3 * position}", node, inputs, outputs, head=position == len(layers) - 1)
