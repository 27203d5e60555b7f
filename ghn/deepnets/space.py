"""Which of the random networks are trained on: limits on size and cost within DeepNets-1M."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ghn.common.settings import POSITIVE, Settings, at_least
from ghn.deepnets.cost import megamacs
from ghn.deepnets.dataset import DeepNets
from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.plan import plan_network
from ghn.deepnets.sample import split_named
from ghn.graph.computational_graph import ComputationalGraph


@dataclass(frozen=True, kw_only=True)
class Space(Settings):
    """Which sampled networks are trained on; without any limit the whole space of DeepNets-1M.

    Attributes:
        split: Split of DeepNets-1M.
        channels: Widths C that are accepted; empty accepts every width that is drawn.
        max_cells: Most cells of a network; None for no limit.
        max_nodes: Most nodes of a network's graph.
        max_parameters: Most parameters of a network at the width drawn.
        max_megamacs: Most multiply-adds of one forward pass for one image, in millions.
        attention: Share of the drawn networks with attention that is kept (on a CPU they cost twice the time).
        batch_nodes: Most nodes of a meta-batch, for each 8 networks in it; others are drawn anew (2,200 as published).
    """

    split: str = "train"
    channels: tuple[int, ...] = field(default=(), metadata=at_least(1))
    max_cells: int | None = field(default=None, metadata=at_least(1))
    max_nodes: int | None = field(default=None, metadata=at_least(1))
    max_parameters: int | None = field(default=None, metadata=at_least(1))
    max_megamacs: float | None = field(default=None, metadata=POSITIVE)
    attention: float = field(default=1.0, metadata=at_least(0))
    batch_nodes: int = field(default=2200, metadata=at_least(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        split_named(self.split)
        if self.attention > 1:
            raise ValueError(f"attention is a share, 0 <= attention <= 1, not {self.attention}")

    def accepts(self, arguments: NetworkArguments, deepnets: DeepNets) -> bool:
        """Whether a network lies within the limits that can be read off its arguments."""
        if self.channels and arguments.C not in self.channels:
            return False
        if self.max_cells is not None and arguments.n_cells > self.max_cells:
            return False
        if self.max_megamacs is None:
            return True
        return megamacs(plan_network(arguments, deepnets.num_classes, deepnets.image_size)) <= self.max_megamacs

    def accepts_graph(self, graph: ComputationalGraph) -> bool:
        """Whether a network lies within the limits that need its graph."""
        if self.max_nodes is not None and len(graph) > self.max_nodes:
            return False
        if self.max_parameters is None:
            return True
        return sum(math.prod(spec.shape) for spec in graph.parameters.values()) <= self.max_parameters
