"""DeepNets-1M as data: architectures by number.

Nothing is stored or downloaded: an architecture is drawn, and its graph is built from its genotype, wherever it is
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from ghn.deepnets.direct_graph import graph_from_arguments
from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.network import Network, network_from_arguments
from ghn.deepnets.sample import Split, sample_architecture, split_named, with_widths
from ghn.graph.computational_graph import ComputationalGraph

_WIDTH_STREAM = 1000


class Architecture(NamedTuple):
    """A network without storage, its graph, and what defines both."""

    network: nn.Module
    graph: ComputationalGraph
    net_args: dict[str, Any]


class DeepNets(Dataset[Architecture]):
    """A split of DeepNets-1M.

    Args:
        split: train, val, test, wide, deep, dense, bnfree or search, or rules of one's own.
        image_size: Side of the images in pixels; from 128 on stems are those for ImageNet.
        num_classes: Outputs of the networks.
        seed: Of the whole data set.
        size: Use only so many architectures, from the first on; all by default.
    """

    def __init__(
        self, split: str | Split, image_size: int = 32, num_classes: int = 10, *, seed: int = 1, size: int | None = None
    ) -> None:
        self.split = split_named(split) if isinstance(split, str) else split
        self.image_size = image_size
        self.num_classes = num_classes
        self.seed = seed
        self.size = self.split.size if size is None else size
        if not 0 < self.size <= self.split.size:
            raise ValueError(f"size must be between 1 and {self.split.size} for {self.split.name}, not {size}")

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Architecture:
        """Architecture `index`: the network on the meta device, its graph, its arguments (channels included)."""
        arguments = self.arguments(index)
        return Architecture(self.network(arguments), self.graph(arguments), arguments.to_dict())

    def __iter__(self) -> Iterator[Architecture]:
        return (self[index] for index in range(len(self)))

    def arguments(self, index: int, draw: int = 0) -> NetworkArguments:
        """What defines architecture `index`, channels included.

        Args:
            index: Its number; negative ones count from the end.
            draw: Training networks have other widths for another value.
        """
        if not -self.size <= index < self.size:
            raise IndexError(f"the split has {self.size} architectures, there is none of number {index}")
        index %= self.size
        arguments = self._architecture(index)
        generator = _generator(self.seed, _WIDTH_STREAM + self.split.stream, index, draw)
        return with_widths(arguments, self.split, self.image_size, generator)

    def _architecture(self, index: int) -> NetworkArguments:
        return sample_architecture(self.split, index, seed=self.seed)

    def network(self, arguments: NetworkArguments) -> Network:
        """A network on the meta device."""
        with torch.device("meta"):
            return network_from_arguments(arguments, self.num_classes, self.image_size)

    def graph(self, arguments: NetworkArguments) -> ComputationalGraph:
        """A network's graph."""
        return graph_from_arguments(arguments, self.num_classes, self.image_size)


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
