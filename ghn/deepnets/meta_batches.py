"""Meta-batches of random networks, of which number `step` is a function of (seed, step): any position can be resumed.

Legend: m networks of a meta-batch, N nodes of a graph.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from ghn.common.parallel.processes import share, start_worker
from ghn.deepnets.dataset import DeepNets
from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.network import Network
from ghn.deepnets.space import Space
from ghn.graph.computational_graph import ComputationalGraph

MAX_DRAWS = 20_000
"""Draws for one network, or for one meta-batch, before a space counts as empty."""

_Drawn = tuple[int, NetworkArguments, ComputationalGraph]


@dataclass(frozen=True, kw_only=True)
class MetaBatch:
    """Networks to train on together: what defines them, and their graphs; cheap to send between processes.

    Attributes:
        step: Its number.
        rejected: Meta-batches that were drawn before it and had too many nodes.
        indices: Numbers of its architectures in the split.
        arguments: What defines its networks, channels included.
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
    """Meta-batches of random networks by number.

    So training resumes at any step without a history, and any process can make any meta-batch. With `world_size` ranks
    each gets its part of the same meta-batch that a single process gets.

    Networks are built by the process that trains them (`networks`), since a module costs more to send than to build.

    Args:
        deepnets: Where architectures come from.
        meta_batch: m, networks of a meta-batch over all ranks.
        seed: Of the draws.
        max_nodes_per_network: Meta-batches whose graphs have more nodes on average are drawn again; by default an
            eighth of the space's `batch_nodes`, 275 as published.
        rank: Which part of each meta-batch to make.
        world_size: Number of parts, as even as can be.
        space: Limits; a network outside them is replaced by another draw. `deepnets` says which split, not the space.
        distinct: No architecture comes twice in a meta-batch; otherwise all m are drawn independently.

    Raises:
        ValueError: When a number is out of its range.
    """

    def __init__(
        self,
        deepnets: DeepNets,
        meta_batch: int = 8,
        *,
        seed: int = 0,
        max_nodes_per_network: float | None = None,
        rank: int = 0,
        world_size: int = 1,
        space: Space | None = None,
        distinct: bool = True,
    ) -> None:
        if meta_batch < 1 or (distinct and meta_batch > len(deepnets)):
            raise ValueError(f"meta_batch must be between 1 and {len(deepnets)}, not {meta_batch}")
        self.slots = share(meta_batch, rank, world_size)
        self.deepnets = deepnets
        self.meta_batch = meta_batch
        self.seed = seed
        self.space = space or Space()
        self.distinct = distinct
        per_network = self.space.batch_nodes / 8 if max_nodes_per_network is None else max_nodes_per_network
        self.max_nodes = per_network * meta_batch
        most = self.space.max_nodes
        self._apart = not distinct and most is not None and most * meta_batch <= self.max_nodes

    def __getitem__(self, step: int) -> MetaBatch:
        """This rank's part of meta-batch `step`.

        Raises:
            ValueError: When the space holds (next to) no network.
        """
        # Other ranks' networks matter only where they could be too large, or the same, together.
        made = self.slots if self._apart else range(self.meta_batch)
        for attempt in range(MAX_DRAWS):
            drawn: dict[int, _Drawn] = {}
            for slot in made:
                taken = {index for index, _, _ in drawn.values()} if self.distinct else ()
                drawn[slot] = self._draw(step, f"{self.seed}/{step}/{attempt}/{slot}", taken)
            if self._apart or sum(len(graph) for _, _, graph in drawn.values()) <= self.max_nodes:
                break
        else:
            raise ValueError(
                f"no meta-batch of at most {self.max_nodes:.0f} nodes was found; raise batch_nodes or lower max_nodes"
            )
        indices, arguments, graphs = zip(*(drawn[slot] for slot in self.slots), strict=True)
        for graph in graphs:
            _ = graph.distances
        return MetaBatch(step=step, rejected=attempt, indices=indices, arguments=arguments, graphs=graphs)

    def _draw(self, step: int, key: str, taken: Collection[int]) -> _Drawn:
        """The first network within the limits, and not taken, in the order of draws that belongs to `key`."""
        # Seeding with a text hashes it with SHA-512, so neighbouring keys have unrelated draws.
        draws = random.Random(key)
        for _ in range(MAX_DRAWS):
            index = draws.randrange(len(self.deepnets))
            if index in taken:
                continue
            # An architecture gets new widths whenever it comes up again.
            arguments = self.deepnets.arguments(index, draw=step + 1)
            if not self.space.accepts(arguments, self.deepnets):
                continue
            if arguments.is_vit and draws.random() >= self.space.attention:
                continue
            graph = self.deepnets.graph(arguments)
            if self.space.accepts_graph(graph):
                return index, arguments, graph
        raise ValueError(f"none of {MAX_DRAWS} drawn networks lies within {self.space}; widen its limits")

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
            worker_init_fn=start_worker,
            # One of its own: the loader would draw from the process's generator.
            generator=torch.Generator(),
        )
