"""What graphs of networks look like: sizes, degrees, lengths of paths, primitives.

Source: GHN-2 (Knyazev et al., NeurIPS 2021) and GHN-3 (ICML 2023), table 3: the quantities of `ghn.deepnets.summarise`,
for any networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ghn.analysis.networks import Networks, Structure
from ghn.deepnets.statistics import Spread, largest_degree, mean_degree, mean_path_length

QUANTITIES = ("nodes", "edges", "parameters", "degree", "largest_degree", "path_length")


@dataclass(frozen=True, kw_only=True)
class GraphStatistics:
    """What a network's graph looks like.

    Attributes:
        model: The network's name.
        family: What it is one of.
        nodes: Of the graph.
        edges: Likewise.
        parameters: Elements of the network's parameters, in millions.
        degree: Mean number of neighbours of a node, edges taken both ways.
        largest_degree: Most neighbours that a node has.
        path_length: Mean shortest path between two nodes, edges taken both ways.
        primitives: How many nodes there are of each primitive, the commonest first.
    """

    model: str
    family: str
    nodes: int
    edges: int
    parameters: float
    degree: float
    largest_degree: int
    path_length: float
    primitives: Mapping[str, int]

    @classmethod
    def of(cls, structure: Structure) -> GraphStatistics:
        """Of a network."""
        graph = structure.graph
        return cls(
            model=structure.name,
            family=structure.family,
            nodes=len(graph),
            edges=len(graph.edges),
            parameters=structure.parameters / 1e6,
            degree=mean_degree(graph),
            largest_degree=largest_degree(graph),
            path_length=mean_path_length(graph),
            primitives=dict(Counter(node.op for node in graph.nodes).most_common()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def statistics(networks: Networks, progress: Callable[[GraphStatistics], None] | None = None) -> list[GraphStatistics]:
    """Statistics of each network's graph.

    Args:
        networks: These; no parameters and no images are looked at.
        progress: Called after each.

    Raises:
        ValueError: In one line, if no network can be traced; those that cannot are in `networks.failed`.
    """
    found = []
    for structure in networks.structures():
        found.append(GraphStatistics.of(structure))
        if progress is not None:
            progress(found[-1])
    return found


def summary(rows: Sequence[GraphStatistics]) -> dict[str, Spread]:
    """Mean, deviation and range of each quantity over networks."""
    return {name: Spread.of(getattr(row, name) for row in rows) for name in QUANTITIES}
