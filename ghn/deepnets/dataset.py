"""DeepNets-1M as data: architectures by number, and meta-batches of them for training hypernetworks.

Nothing is stored or downloaded: an architecture is drawn, and its graph is built from its genotype, wherever it is
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ghn.deepnets.direct_graph import graph_from_arguments
from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.network import Network, network_from_arguments
from ghn.deepnets.sample import Split, sample_architecture, split_named, with_widths
from ghn.graph.computational_graph import ComputationalGraph

MAX_NODES_PER_NETWORK = 2200 / 8
"""A meta-batch whose graphs have more nodes than this on average is not used."""

_WIDTH_STREAM = 1000
_BATCH_STREAM = 2000


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


@dataclass(frozen=True, kw_only=True)
class MetaBatch:
    """Architectures to train on together.

    Attributes:
        step: Its number.
        rejected: Meta-batches that were drawn before it and had too many nodes.
        indices: Numbers of its architectures.
        arguments: What defines them, channels included.
        graphs: Their graphs, distances computed.
    """

    step: int
    rejected: int
    indices: tuple[int, ...]
    arguments: tuple[NetworkArguments, ...]
    graphs: tuple[ComputationalGraph, ...]

    def __len__(self) -> int:
        return len(self.arguments)


class MetaBatches(Dataset[MetaBatch]):
    """Meta-batches of random architectures; number `step` is a function of (seed, step).

    So training resumes at any step without a history, and any process can make any meta-batch. With `world_size` ranks
    each gets its part of the same meta-batch that a single process gets.

    Networks are built by the process that trains them (`networks`), since a module costs more to send than to build.

    Args:
        deepnets: Where architectures come from.
        meta_batch: m, architectures of a meta-batch over all ranks.
        seed: Of the order in which architectures come.
        max_nodes_per_network: Meta-batches whose graphs have more nodes on average are drawn again.
        rank: Which part of each meta-batch to make.
        world_size: Number of parts.
    """

    def __init__(
        self,
        deepnets: DeepNets,
        meta_batch: int = 8,
        *,
        seed: int = 0,
        max_nodes_per_network: float = MAX_NODES_PER_NETWORK,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not 1 <= meta_batch <= len(deepnets):
            raise ValueError(f"meta_batch must be between 1 and {len(deepnets)}, not {meta_batch}")
        if meta_batch % world_size:
            raise ValueError(f"{meta_batch} architectures cannot be shared equally by {world_size} ranks")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be between 0 and {world_size - 1}, not {rank}")
        self.deepnets = deepnets
        self.meta_batch = meta_batch
        self.seed = seed
        self.max_nodes = max_nodes_per_network * meta_batch
        share = meta_batch // world_size
        self.mine = slice(rank * share, (rank + 1) * share)

    def __getitem__(self, step: int) -> MetaBatch:
        rejected = 0
        while True:
            indices = self._draw(step, rejected)
            # The same architecture gets new widths whenever it comes up again.
            arguments = [self.deepnets.arguments(index, draw=step + 1) for index in indices]
            graphs = [self.deepnets.graph(item) for item in arguments]
            if sum(map(len, graphs)) <= self.max_nodes:
                break
            rejected += 1
        for graph in graphs[self.mine]:
            _ = graph.distances
        return MetaBatch(
            step=step,
            rejected=rejected,
            indices=tuple(indices[self.mine]),
            arguments=tuple(arguments[self.mine]),
            graphs=tuple(graphs[self.mine]),
        )

    def networks(self, batch: MetaBatch) -> list[Network]:
        """The networks of a meta-batch, on the meta device."""
        return [self.deepnets.network(arguments) for arguments in batch.arguments]

    def loader(self, steps: Sequence[int], *, workers: int = 0, prefetch: int = 2) -> DataLoader[MetaBatch]:
        """Make meta-batches ahead in other processes.

        Args:
            steps: Numbers of the meta-batches in order, e.g. `range(start, stop)`.
            workers: Processes; 0 makes them here.
            prefetch: Meta-batches that each worker makes ahead.
        """
        return DataLoader(
            self,
            sampler=steps,  # type: ignore[arg-type]
            batch_size=None,
            num_workers=workers,
            prefetch_factor=prefetch if workers else None,
            persistent_workers=False,
        )

    def _draw(self, step: int, attempt: int) -> list[int]:
        generator = _generator(self.seed, _BATCH_STREAM, step, attempt)
        drawn: dict[int, None] = {}
        while len(drawn) < self.meta_batch:
            drawn[int(generator.integers(len(self.deepnets)))] = None
        return list(drawn)


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
