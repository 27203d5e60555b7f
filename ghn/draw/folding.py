"""Equal blocks that follow each other, drawn once with the number of times.

Two stretches of nodes are equal if their primitives and shapes are, and if every node reads from as far back. Only the
last of a run of equal blocks may feed what comes after the run.

Legend: N nodes, L nodes of a block, K times that it occurs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghn.graph.computational_graph import ComputationalGraph

LEAST_SAVED = 6
"""Nodes that folding must leave out: fewer are not worth a frame."""

LONGEST_BLOCK = 400
"""Nodes of a block that are looked for."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A block that is drawn once.

    Attributes:
        first: Index of its first node in the graph.
        length: Nodes of one block (L).
        times: How often it occurs (K).
    """

    first: int
    length: int
    times: int

    @property
    def end(self) -> int:
        """Behind the last node of the last block."""
        return self.first + self.length * self.times


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Which nodes of a graph are drawn.

    Attributes:
        nodes: Their indices in the graph, ascending.
        edges: (E, 2), between their positions in `nodes`.
        repeats: Blocks that stand for several.
    """

    nodes: tuple[int, ...]
    edges: NDArray[np.int64]
    repeats: tuple[Repeat, ...]


def unfolded(graph: ComputationalGraph) -> Folded:
    """All nodes."""
    return Folded(nodes=tuple(range(len(graph))), edges=graph.edges, repeats=())


def folded(graph: ComputationalGraph) -> Folded:
    """The graph with each run of equal blocks as one block."""
    repeats = find_repeats(graph)
    stands_for = np.arange(len(graph))  # the node that is drawn
    for repeat in repeats:
        run = np.arange(repeat.first, repeat.end)
        stands_for[run] = repeat.first + (run - repeat.first) % repeat.length
    drawn = np.flatnonzero(stands_for == np.arange(len(graph)))
    edges = []
    for producer, consumer in graph.edges.tolist():
        if stands_for[consumer] != consumer:
            continue  # what the first block reads stands for what the others read
        # What is read from the last block is read from the one that is drawn.
        edges.append((stands_for[producer], consumer))
    position = {int(node): place for place, node in enumerate(drawn)}
    pairs = np.array([(position[int(u)], position[int(v)]) for u, v in edges], dtype=np.int64).reshape(-1, 2)
    return Folded(nodes=tuple(map(int, drawn)), edges=np.unique(pairs, axis=0), repeats=tuple(repeats))


def find_repeats(graph: ComputationalGraph) -> list[Repeat]:
    """The runs of equal blocks, from the first node on, each as long as it can be."""
    marks = _marks(graph)
    # Length of the stretch from each node on that equals the one `length` nodes later.
    runs = {
        length: _runs(marks[length:] == marks[:-length]) for length in range(1, min(LONGEST_BLOCK, len(marks) // 2) + 1)
    }
    crossing = _crossing(graph)
    last_use = np.arange(len(graph))
    for producer, consumer in graph.edges.tolist():
        last_use[producer] = max(last_use[producer], consumer)
    found: list[Repeat] = []
    start = 1
    while start < len(graph):
        options = [
            repeat
            for length, run in runs.items()
            if start < len(run) and run[start]
            for repeat in _aligned(start, length, int(run[start]), crossing, last_use)
        ]
        if not options:
            start += 1
            continue
        best = min(options, key=lambda repeat: (-_saved(repeat) / max(crossing[repeat.first], 1), repeat.length))
        found.append(best)
        start = best.end
    return found


def _saved(repeat: Repeat) -> int:
    return repeat.length * (repeat.times - 1)


def _marks(graph: ComputationalGraph) -> NDArray[np.int64]:
    """A number for each node: equal for those of equal primitive and shape that read from as far back."""
    numbers: dict[tuple[object, ...], int] = {}
    marks = []
    for index, (node, feeding) in enumerate(zip(graph.nodes, graph.predecessors(), strict=True)):
        mark = (node.op, node.shape, tuple(index - producer for producer in feeding))
        marks.append(numbers.setdefault(mark, len(numbers)))
    return np.array(marks, dtype=np.int64)


def _runs(equal: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From each place on, how many are true in a row."""
    places = np.arange(len(equal))
    ends = np.where(equal, len(equal), places)
    return np.minimum.accumulate(ends[::-1])[::-1] - places


def _crossing(graph: ComputationalGraph) -> NDArray[np.int64]:
    """For each node how many nodes before it are read by it or by later ones."""
    last = np.full(len(graph), -1)
    for producer, consumer in graph.edges.tolist():
        last[producer] = max(last[producer], consumer)
    change = np.zeros(len(graph) + 1, dtype=np.int64)
    for producer, end in enumerate(last.tolist()):
        if end > producer:
            change[producer + 1] += 1
            change[end + 1 if end + 1 <= len(graph) else end] -= 1
    return np.cumsum(change)[: len(graph)]


def _aligned(
    start: int, length: int, run: int, crossing: NDArray[np.int64], last_use: NDArray[np.int64]
) -> list[Repeat]:
    """The run of blocks that begins within a block's length of `start` where the fewest edges enter it."""
    shifts = [shift for shift in range(min(length, run)) if 1 + (run - shift) // length >= 2]
    if not shifts:
        return []
    shift = min(shifts, key=lambda shift: (crossing[start + shift], shift))
    first, times = start + shift, 1 + (run - shift) // length
    while times >= 2:
        repeat = Repeat(first=first, length=length, times=times)
        inner = last_use[first : first + length * (times - 1)]
        beyond = np.flatnonzero(inner >= repeat.end)
        if not len(beyond):
            return [repeat] if _saved(repeat) >= LEAST_SAVED else []
        # A block that feeds what comes after is the last one.
        times = int(beyond[0]) // length + 1
    return []
