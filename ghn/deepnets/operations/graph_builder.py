"""A computational graph in the making, layer by layer, without a module.

A layer is added by a method that takes a name, the node that feeds it (None where the layer is unused: its parameters
are then noted as kept) and returns the node that holds its result.
"""

from __future__ import annotations

from collections.abc import Sequence

from ghn.graph.computational_graph import Node, ParameterSpec, Role
from ghn.graph.reasons import Reason, ReasonCode


class GraphBuilder:
    """Nodes, edges and parameters, from the network's input on.

    Args:
        has_norm: Whether normalisations are there.
    """

    def __init__(self, has_norm: bool) -> None:
        self.has_norm = has_norm
        self.nodes = [Node("input")]
        self.cell_of_node = [0]
        self.current_cell = 0
        self.edges: list[tuple[int, int]] = []
        self.parameters: dict[str, ParameterSpec] = {}
        self.kept: dict[str, Reason] = {}

    def node(
        self, op: str, sources: Sequence[int], names: tuple[str, ...] = (), shape: tuple[int, ...] | None = None
    ) -> int:
        """A node that the given ones feed."""
        index = len(self.nodes)
        self.nodes.append(Node(op, names, shape))
        self.cell_of_node.append(self.current_cell)
        self.edges.extend((source, index) for source in sources)
        return index

    def parameter(self, name: str, node: int, shape: tuple[int, ...], role: Role, head: bool = False) -> None:
        """Note that a node holds a parameter."""
        self.parameters[name] = ParameterSpec(name=name, node=node, shape=shape, role=role, head=head)

    def merge(self, op: str, sources: Sequence[int]) -> int:
        """A sum or a concatenation, which is a node only where different paths meet."""
        distinct = sorted(set(sources))
        return self.node(op, distinct) if len(distinct) > 1 else distinct[0]

    def weight(
        self, name: str, source: int | None, shape: tuple[int, ...], op: str = "conv", head: bool = False
    ) -> int | None:
        """A layer that has only a weight."""
        name += ".weight"
        if source is None:
            self.kept[name] = Reason(ReasonCode.UNUSED)
            return None
        node = self.node(op, (source,), (name,), shape)
        self.parameter(name, node, shape, Role.WEIGHT, head)
        return node

    def linear(self, name: str, source: int | None, inputs: int, outputs: int, head: bool = False) -> int | None:
        """A weight and a bias, a node each."""
        source = self.weight(name, source, (outputs, inputs), head=head)
        name += ".bias"
        if source is None:
            self.kept[name] = Reason(ReasonCode.UNUSED)
            return None
        node = self.node("bias", (source,), (name,), (outputs,))
        self.parameter(name, node, (outputs,), Role.BIAS, head)
        return node

    def scale_and_shift(self, op: str, name: str, source: int | None, channels: int) -> int | None:
        """A normalisation's weight and bias, one node."""
        weight, bias = name + ".weight", name + ".bias"
        if source is None:
            self.kept[weight] = self.kept[bias] = Reason(ReasonCode.UNUSED)
            return None
        node = self.node(op, (source,), (weight, bias), (channels,))
        self.parameter(weight, node, (channels,), Role.NORM_WEIGHT)
        self.parameter(bias, node, (channels,), Role.NORM_BIAS)
        return node

    def norm(self, name: str, source: int | None, channels: int) -> int | None:
        """A batch normalisation where the network has any."""
        return self.scale_and_shift("bn", name, source, channels) if self.has_norm else source

    def pool(self, op: str, source: int) -> int:
        """A pooling of 3×3 pixels."""
        return self.node(op, (source,), (), (1, 1, 3, 3))

    def factorized_reduction(self, name: str, source: int | None, inputs: int, outputs: int) -> int | None:
        """Two 1×1 convolutions side by side and their normalisation."""
        shape = (outputs // 2, inputs, 1, 1)
        halves = [self.weight(f"{name}.{half}", source, shape) for half in ("conv_1", "conv_2")]
        joined = None if source is None else self.merge("concat", [half for half in halves if half is not None])
        return self.norm(f"{name}.bn", joined, outputs)
