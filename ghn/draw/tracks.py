"""Rows and vertical tracks of a drawing: what it is before it has pixels.

Nodes stand in rows by longest path. Chains of nodes become straight vertical tracks, and what skips rows (residual
connections, dense concatenations) becomes a thin track of its own beside them, one for all consumers of a producer.
Tracks are packed at the free place nearest to the mean place (barycentre) of what they connect.

Legend: a row holds the nodes of one layer; a slot is a vertical line, `UNIT` pixels from the next; a track holds a
slot over a range of rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

UNIT = 9.0
"""Pixels between neighbouring slots."""


@dataclass(kw_only=True)
class Track:
    """A vertical line through rows `first` to `last`, as wide as `half` slots on both sides of `slot`."""

    first: int
    last: int
    half: int = 0
    entered: bool = True  # a line comes in from the gap above `first`
    nodes: list[int] = field(default_factory=list)
    slot: int = 0


class Tracks:
    """Rows, tracks and the slots they take.

    Attributes:
        edges: Pairs (producer, consumer).
        fed_by: For each node its producers.
        row: Of each node.
        row_count: Number of rows.
        chain_of: For each node the track it stands in.
        all: All tracks.
        lanes: By producer, tracks without nodes for edges that skip rows.
        wires: For each gap the slots of the lines that enter the row below it, ascending.
    """

    def __init__(self, edges: NDArray[np.int64], sizes: Sequence[tuple[float, float]]) -> None:
        self.edges: list[tuple[int, int]] = [(int(u), int(v)) for u, v in edges]
        self.feeds: list[list[int]] = [[] for _ in sizes]  # consumers
        self.fed_by: list[list[int]] = [[] for _ in sizes]  # producers
        for producer, consumer in self.edges:
            self.feeds[producer].append(consumer)
            self.fed_by[consumer].append(producer)
        self.row = self._rows()
        self.row_count = max(self.row) + 1
        self.following: list[int | None] = [None] * len(sizes)  # the next node of the same track
        self.chain_of: list[Track] = []
        self.chains = self._chains([width for width, _ in sizes])
        self.lanes = self._lanes()
        self.all = [*self.chains, *self.lanes.values()]
        self._pack()
        self.wires = self._wires()

    def _rows(self) -> list[int]:
        """Longest path from a source; sources other than the first node stand just above what they feed."""
        row = [0] * len(self.feeds)
        for node in range(len(row)):
            row[node] = max((row[producer] + 1 for producer in self.fed_by[node]), default=0)
        for node in range(1, len(row)):
            if not self.fed_by[node] and self.feeds[node]:
                row[node] = min(row[consumer] for consumer in self.feeds[node]) - 1
        return row

    def _chains(self, widths: Sequence[float]) -> list[Track]:
        """Every node in one vertical track; the longest way on continues a track, other branches start new ones."""
        depth = [0] * len(widths)  # longest path to a sink
        for node in reversed(range(len(depth))):
            depth[node] = max((depth[consumer] + 1 for consumer in self.feeds[node]), default=0)
        chains: list[Track] = []
        chain_of: dict[int, Track] = {}
        for node in sorted(range(len(depth)), key=lambda node: (self.row[node], -depth[node], node)):
            ends = [producer for producer in self.fed_by[node] if self.following[producer] is None]
            if ends:
                end = max(ends, key=lambda end: (self.row[end], -chain_of[end].first))
                chain = chain_of[end]
                self.following[end] = node
            else:
                chain = Track(first=self.row[node], last=0, entered=bool(self.fed_by[node]))
                chains.append(chain)
            chain.nodes.append(node)
            chain.last = self.row[node]
            chain.half = max(chain.half, math.ceil((widths[node] / 2 + 4) / UNIT))
            chain_of[node] = chain
        self.chain_of = [chain_of[node] for node in range(len(depth))]
        return chains

    def _lanes(self) -> dict[int, Track]:
        """Tracks for edges that skip rows and cannot use their producer's own track; extends the tracks that can."""
        lanes = {}
        for node, consumers in enumerate(self.feeds):
            last = max((self.row[consumer] for consumer in consumers), default=0) - 1
            following = self.following[node]
            if following is None:
                self.chain_of[node].last = max(self.chain_of[node].last, last)
            elif last >= self.row[following]:
                lanes[node] = Track(first=self.row[node] + 1, last=last)
        return lanes

    def trunk(self, producer: int, consumer: int) -> Track:
        """The track from which the edge turns off towards its consumer."""
        following = self.following[producer]
        if following is None or self.row[consumer] <= self.row[following]:
            return self.chain_of[producer]
        return self.lanes[producer]

    def _pack(self) -> None:
        """Give every track the free slot nearest to the barycentre of its neighbours: long chains first, then lanes."""
        neighbours = self._neighbours()
        grid = _Grid(self.row_count)
        placed: set[int] = set()
        order = sorted(self.chains, key=lambda track: track.first - track.last)
        order += sorted(self.lanes.values(), key=lambda track: track.last - track.first)
        for track in order:
            near = [other.slot for other in neighbours[id(track)] if id(other) in placed]
            grid.take(track, sum(near) / len(near) if near else 0.0)
            placed.add(id(track))

    def _neighbours(self) -> dict[int, list[Track]]:
        neighbours: dict[int, list[Track]] = defaultdict(list)
        for producer, consumer in self.edges:
            start, end = self.chain_of[producer], self.chain_of[consumer]
            if start is not end:
                neighbours[id(start)].append(end)
                neighbours[id(end)].append(start)
            if producer in self.lanes:
                neighbours[id(self.lanes[producer])] += [start, end]
        return neighbours

    def _wires(self) -> list[list[int]]:
        """For each gap the slots of the lines that enter the row below it, ascending."""
        wires: list[list[int]] = [[] for _ in range(self.row_count)]
        for track in self.all:
            for row in range(track.first + (not track.entered), track.last + 1):
                wires[row - 1].append(track.slot)
        return [sorted(slots) for slots in wires]


class _Grid:
    """Which slots are taken in which rows."""

    def __init__(self, rows: int) -> None:
        self.taken = np.zeros((rows, 129), dtype=bool)
        self.origin = 64  # column of slot 0

    def take(self, track: Track, wish: float) -> None:
        """Set the track's slot to the free one nearest to `wish` (the right one of two) and take it.

        A row above and below stays free in the same slot: lines enter and leave a track in the gaps beside it.
        """
        rows = slice(max(track.first - 1, 0), track.last + 2)
        while True:
            count = np.concatenate([[0], np.cumsum(self.taken[rows].any(axis=0))])
            width = 2 * track.half + 1
            free = np.flatnonzero(count[width:] == count[:-width]) + track.half - self.origin
            distance = np.abs(free - wish) - 0.25 * (free > wish)
            room = min(wish + self.origin, self.taken.shape[1] - 1 - self.origin - wish) - track.half
            if len(free) and distance.min() < room:
                break
            grow = self.taken.shape[1]
            self.taken = np.pad(self.taken, ((0, 0), (grow, grow)))
            self.origin += grow
        track.slot = int(free[distance.argmin()])
        centre = track.slot + self.origin
        self.taken[track.first : track.last + 1, centre - track.half : centre + track.half + 1] = True
