"""What a split of DeepNets-1M looks like: table 3 of GHN-2 (NeurIPS 2021) for any number of architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.sparse.csgraph import shortest_path

from ghn.deepnets.dataset import DeepNets
from ghn.deepnets.plan import count_parameters, plan_network
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.distances import adjacency


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean, standard deviation (of the sample) and range of a quantity."""

    mean: float
    std: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of at least one value."""
        array = np.fromiter(values, dtype=float)
        return cls(mean=float(array.mean()), std=float(array.std()), least=float(array.min()), most=float(array.max()))

    def __str__(self) -> str:
        mean, least, most = (_digits(value, 3) for value in (self.mean, self.least, self.most))
        return f"{mean} ± {_digits(self.std, 2)} ({least} to {most})"


def _digits(value: float, count: int) -> str:
    """A number with at least so many significant digits, and without an exponent where it is large."""
    rounded = f"{value:.{count}g}"
    return f"{value:,.0f}" if abs(float(rounded)) >= 10**count else rounded


@dataclass(frozen=True, kw_only=True)
class SplitStatistics:
    """Statistics of a split.

    Attributes:
        split: Its name.
        count: Architectures that were looked at.
        size: Architectures that it has.
        cells: Cells.
        channels: Channels of a cell's operations, over all cells.
        nodes: Nodes of the graph.
        parameters: Parameters in millions, unused ones included.
        degree: Mean number of neighbours of a graph's nodes, edges taken both ways.
        largest_degree: Most neighbours that a node of the graph has.
        path_length: Mean shortest path between two nodes, edges taken both ways.
        without_norm: Fraction of networks without batch normalisation.
        transformers: Fraction of vision transformers.
        operations: Fraction of each operation among the edges of both cells.
        primitives: Fraction of each primitive among all nodes.
    """

    split: str
    count: int
    size: int
    cells: Spread
    channels: Spread
    nodes: Spread
    parameters: Spread
    degree: Spread
    largest_degree: Spread
    path_length: Spread
    without_norm: float
    transformers: float
    operations: Mapping[str, float]
    primitives: Mapping[str, float]

    def spreads(self) -> dict[str, Spread]:
        """The quantities with mean and range, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Spread)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def summarise(
    split: str | DeepNets,
    count: int | None = None,
    seed: int = 1,
    *,
    image_size: int = 32,
    num_classes: int = 10,
    progress: Callable[[], None] | None = None,
) -> SplitStatistics:
    """Statistics of a split's first architectures, as they are loaded.

    Args:
        split: Its name, or the data set itself (drawn, or read from published metadata).
        count: How many; by default all, at most 1000.
        seed: Of the data set, where only a name is given.
        image_size: Side of the images in pixels, likewise.
        num_classes: Outputs of the networks, likewise.
        progress: Called after each architecture.

    Raises:
        ValueError: For an unknown split, or more architectures than it has.
    """
    deepnets = split if isinstance(split, DeepNets) else DeepNets(split, image_size, num_classes, seed=seed)
    count = min(1000, len(deepnets)) if count is None else count
    if not 1 <= count <= len(deepnets):
        raise ValueError(f"count must be between 1 and {len(deepnets)}, not {count}")
    arguments = [deepnets.arguments(index) for index in range(count)]
    plans = [plan_network(item, deepnets.num_classes, deepnets.image_size) for item in arguments]
    graphs = []
    for item in arguments:
        graphs.append(deepnets.graph(item))
        if progress is not None:
            progress()
    return SplitStatistics(
        split=deepnets.split.name,
        count=count,
        size=len(deepnets),
        cells=Spread.of(item.n_cells for item in arguments),
        channels=Spread.of(cell.channels for plan in plans for cell in plan.cells),
        nodes=Spread.of(map(len, graphs)),
        parameters=Spread.of(count_parameters(plan) / 1e6 for plan in plans),
        degree=Spread.of(map(mean_degree, graphs)),
        largest_degree=Spread.of(map(largest_degree, graphs)),
        path_length=Spread.of(mean_path_length(graph) for graph in graphs),
        without_norm=float(np.mean([item.norm is None for item in arguments])),
        transformers=float(np.mean([item.is_vit for item in arguments])),
        operations=_fractions([name for item in arguments for name in item.genotype.operations]),
        primitives=_fractions([node.op for graph in graphs for node in graph.nodes]),
    )


def mean_path_length(graph: ComputationalGraph) -> float:
    """Mean length of the shortest paths between all pairs of nodes that are connected, edges taken both ways."""
    lengths = shortest_path(adjacency(len(graph), graph.edges), method="D", directed=False, unweighted=True)
    connected = np.isfinite(lengths) & (lengths > 0)
    return float(lengths[connected].mean()) if connected.any() else 0.0


def mean_degree(graph: ComputationalGraph) -> float:
    """Mean number of neighbours of a node, edges taken both ways."""
    return 2 * len(graph.edges) / len(graph)


def largest_degree(graph: ComputationalGraph) -> int:
    """Most neighbours that a node has."""
    return int(np.bincount(graph.edges.ravel(), minlength=len(graph)).max())


def _fractions(words: Sequence[str]) -> dict[str, float]:
    """How often each word comes, the commonest first."""
    return {word: number / len(words) for word, number in Counter(words).most_common()}
