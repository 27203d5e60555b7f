"""Meta-batches of target networks, of which number i is a function of (seed, i): any position can be resumed.

Legend: m networks of a meta-batch, N nodes of a graph.
"""

from __future__ import annotations

import math
import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from ghn.deepnets.dataset import DeepNets
from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.plan import plan_network
from ghn.graph import ComputationalGraph
from ghn.train.config import Space
from ghn.train.cost import megamacs

MAX_DRAWS = 20_000
"""Draws for one network before a space counts as empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What defines a target network, and its graph; cheap to send between processes.

    Attributes:
        index: Its number in the split.
        arguments: What defines it, channels included.
        graph: Its computational graph, distances computed.
    """

    index: int
    arguments: NetworkArguments
    graph: ComputationalGraph


def accepts(space: Space, arguments: NetworkArguments, source: DeepNets) -> bool:
    """Whether a network lies within the limits that can be read off its arguments (all but the number of nodes)."""
    if space.channels and arguments.C not in space.channels:
        return False
    if space.max_cells is not None and arguments.n_cells > space.max_cells:
        return False
    if space.max_megamacs is None:
        return True
    return megamacs(plan_network(arguments, source.num_classes, source.image_size)) <= space.max_megamacs


class ArchitectureStream(Dataset[list[Drawn]]):
    """Meta-batches by number.

    Args:
        source: What to draw from.
        space: Limits; a network outside them is replaced by another draw.
        meta_batch: m, over all ranks.
        seed: Governs the draws.
        slots: Which networks of each meta-batch to hand out (a rank's share); None for all.
    """

    def __init__(
        self,
        source: DeepNets,
        space: Space,
        *,
        meta_batch: int,
        seed: int,
        slots: Sequence[int] | None = None,
    ) -> None:
        self.source, self.space, self.meta_batch, self.seed = source, space, meta_batch, seed
        self.slots = tuple(range(meta_batch)) if slots is None else tuple(slots)

    def __getitem__(self, step: int) -> list[Drawn]:
        """This rank's networks of meta-batch `step`.

        Raises:
            ValueError: When the space holds (next to) no network.
        """
        limit = self.space.batch_nodes * self.meta_batch / 8
        for attempt in range(MAX_DRAWS):
            drawn = [self._draw(step, f"{self.seed}/{step}/{attempt}/{slot}") for slot in range(self.meta_batch)]
            if sum(len(item.graph) for item in drawn) <= limit:
                return [drawn[slot] for slot in self.slots]
        raise ValueError(f"no meta-batch of at most {limit:.0f} nodes was found; raise batch_nodes or lower max_nodes")

    def _draw(self, step: int, key: str) -> Drawn:
        """The first network within the limits in the order of draws that belongs to `key`."""
        # Seeding with a text hashes it with SHA-512, so neighbouring keys have unrelated draws.
        draws = random.Random(key)
        for _ in range(MAX_DRAWS):
            index = draws.randrange(len(self.source))
            # An architecture gets new widths whenever it comes up again.
            arguments = self.source.arguments(index, draw=step + 1)
            if not accepts(self.space, arguments, self.source):
                continue
            if arguments.is_vit and draws.random() >= self.space.attention:
                continue
            graph = self.source.graph(arguments)
            if self.space.max_nodes is not None and len(graph) > self.space.max_nodes:
                continue
            if self.space.max_parameters is not None and _elements(graph) > self.space.max_parameters:
                continue
            _ = graph.distances
            return Drawn(index=index, arguments=arguments, graph=graph)
        raise ValueError(f"none of {MAX_DRAWS} drawn networks lies within {self.space}; widen its limits")

    def from_step(self, start: int, stop: int, *, workers: int) -> Iterator[list[Drawn]]:
        """Meta-batches start, start + 1, …, stop − 1, prepared ahead by `workers` processes."""
        loader = DataLoader(
            self,
            sampler=range(start, stop),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_start_worker,
            # One of its own: the loader would draw from the process's generator.
            generator=torch.Generator(),
        )
        return iter(loader)


def _start_worker(_: int) -> None:
    """One thread, and Ctrl-C is the training process's affair: it still finishes its step."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _elements(graph: ComputationalGraph) -> int:
    return sum(math.prod(spec.shape) for spec in graph.parameters.values())
