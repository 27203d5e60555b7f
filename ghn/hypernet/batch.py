"""Several computational graphs as one set of tensors, the input of every encoder.

Legend: B graphs, n nodes of one graph, N nodes of all graphs together, one graph after the other (no padding),
M slots per graph: places for nodes ordered by depth, see `level_slots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ghn.graph.computational_graph import ComputationalGraph, ParameterSpec

_NO_BYTES = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphBatch:
    """B graphs, and what is to be predicted for each.

    Holds plain tensors and dataclasses only, so that data-loader workers can build and send it.

    Attributes:
        primitives: (N,) int64, row of each node in the embedding table.
        shapes: (N, 4) int64, (out, in, kh, kw) of each node; 0 for nodes without shape.
        distances: (Σn²,) uint8, for each graph its (n, n) matrix of path lengths i→j, 0 for none; (0,) if left out.
        in_degrees: (N,) int64, direct predecessors.
        out_degrees: (N,) int64, direct successors.
        slots: (N,) int64, each node's place among the B·M slots.
        level_widths: Number of slots of each level, the same for all graphs; their sum is M.
        sizes: n of each graph.
        parameters: For each graph its predictable tensors by name.
    """

    primitives: Tensor
    shapes: Tensor
    distances: Tensor
    in_degrees: Tensor
    out_degrees: Tensor
    slots: Tensor
    level_widths: tuple[int, ...]
    sizes: tuple[int, ...]
    parameters: tuple[Mapping[str, ParameterSpec], ...]

    @classmethod
    def from_graphs(cls, graphs: Sequence[ComputationalGraph], *, with_distances: bool = True) -> GraphBatch:
        """Put `graphs` side by side.

        Args:
            graphs: At least one.
            with_distances: Whether the lengths of paths, n² numbers of a byte, are needed.

        Raises:
            ValueError: If there are none.
        """
        if not graphs:
            raise ValueError("a batch needs at least one graph, but the sequence is empty")

        def joined(parts: list[NDArray[Any]]) -> Tensor:
            return torch.from_numpy(np.concatenate(parts))

        slots, level_widths = level_slots([node_depths(graph) for graph in graphs])
        return cls(
            primitives=joined([graph.primitives for graph in graphs]),
            shapes=joined([node_shapes(graph) for graph in graphs]),
            distances=joined(
                [graph.distances.astype(np.uint8).ravel() for graph in graphs if with_distances] or [_NO_BYTES]
            ),
            in_degrees=joined([np.bincount(graph.edges[:, 1], minlength=len(graph)) for graph in graphs]),
            out_degrees=joined([np.bincount(graph.edges[:, 0], minlength=len(graph)) for graph in graphs]),
            slots=joined(slots),
            level_widths=level_widths,
            sizes=tuple(len(graph) for graph in graphs),
            parameters=tuple(dict(graph.parameters) for graph in graphs),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def distance_matrices(self) -> list[Tensor]:
        """For each graph (n, n) uint8, entry (i, j) the length of the shortest path i→j, 0 for none."""
        parts = self.distances.split([size * size for size in self.sizes])
        return [part.view(size, size) for part, size in zip(parts, self.sizes, strict=True)]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> GraphBatch:
        """The batch with its tensors on `device`."""
        moved: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                moved[item.name] = value.to(device, non_blocking=non_blocking)
        return replace(self, **moved)


def node_shapes(graph: ComputationalGraph) -> NDArray[np.int64]:
    """Shapes of all nodes as (out, in, kh, kw), the input of the shape encoder (GHN-3, appendix A.1).

    Returns:
        (N, 4); a row of zeros for a node without shape. Missing axes are 1: (n) → (n, 1, 1, 1), (o, i) → (o, i, 1, 1),
        (o, i, k) → (o, i, k, 1), (o, i, t, h, w) → (o, i, h, w). Axes that count independent weights are merged into
        o. A table of t positions, (1, t, c) or (t, c) of a `pos_enc` node, becomes (1, c, s, s) with s = ⌊√t⌋.
    """
    shapes = np.zeros((len(graph), 4), dtype=np.int64)
    for index, node in enumerate(graph.nodes):
        if node.shape is None:
            continue
        shape = tuple(node.shape)
        if node.parameters:
            spec = graph.parameters.get(node.parameters[0])
            if spec is not None and spec.stack and len(shape) == len(spec.canonical_shape):
                shape = (int(np.prod(shape[: spec.stack + 1])), *shape[spec.stack + 1 :])
        shapes[index] = _four_axes(shape, is_position=node.op == "pos_enc")
    return shapes


def _four_axes(shape: tuple[int, ...], is_position: bool) -> tuple[int, int, int, int]:
    if is_position and len(shape) == 2:
        shape = (1, *shape)
    if is_position and len(shape) == 3 and shape[0] == 1 and min(shape[1:]) > 1:
        side = int(shape[1] ** 0.5)
        return 1, shape[2], side, side
    if len(shape) > 4:
        shape = (*shape[:2], *shape[-2:])
    out, inputs, height, width = (*shape, *(1,) * (4 - len(shape)))
    return out, inputs, height, width


def node_depths(graph: ComputationalGraph) -> NDArray[np.int64]:
    """(N,): length of the longest path that ends in each node; nodes of equal depth do not depend on each other."""
    depths = [0] * len(graph)
    # Edges are sorted by producer and point forward, so a producer's depth is final when its edges are met.
    for producer, consumer in graph.edges.tolist():
        depths[consumer] = max(depths[consumer], depths[producer] + 1)
    return np.array(depths, dtype=np.int64)


def level_slots(depths: Sequence[NDArray[np.int64]]) -> tuple[list[NDArray[np.int64]], tuple[int, ...]]:
    """Lay out the nodes of all graphs by depth, so that a level is the same slice of slots in every graph.

    Args:
        depths: For each graph, (n,) depth of every node.

    Returns:
        For each graph, (n,) slot of every node (those of the second graph begin at M, and so on); and the width of
        each level, which is that of the graph with most nodes of that depth.
    """
    levels = 1 + max(int(depth.max()) for depth in depths)
    counts = np.stack([np.bincount(depth, minlength=levels) for depth in depths])
    widths = counts.max(axis=0)
    starts = np.cumsum(widths) - widths
    slots = []
    for index, depth in enumerate(depths):
        order = np.argsort(depth, kind="stable")
        first_of_level = np.cumsum(counts[index]) - counts[index]
        place = np.empty(len(depth), dtype=np.int64)
        place[order] = starts[depth[order]] + np.arange(len(depth)) - first_of_level[depth[order]]
        slots.append(place + index * widths.sum())
    return slots, tuple(widths.tolist())
