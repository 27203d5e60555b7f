"""Where to draw the nodes and edges of a directed acyclic graph: rows, columns, and corners of the edges in pixels.

Vertical parts of edges follow the tracks of `ghn.draw.tracks`, horizontal parts lie in the gaps between rows, so no
edge runs through a box. Long graphs are folded into columns, cut where the fewest edges cross.

Legend: gap r lies below row r; rows, slots and tracks as in `ghn.draw.tracks`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghn.draw.tracks import UNIT, Tracks

SPACING = 6.0
"""Pixels between parallel horizontal lines."""
PORT = 6.0
"""Pixels between the middle of a box's upper side and the place where lines from one side enter."""
MARGIN = 12.0
FOLD_HEIGHT = 760.0
"""A drawing lower than this is not folded."""
DIVIDED = 1.5
"""Cost of a cut within a block, as that of a column about two thirds too high."""


class Point(NamedTuple):
    """A place in pixels, y downwards."""

    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A drawing's geometry in pixels.

    Attributes:
        width: Of the whole drawing.
        height: Of the whole drawing.
        centres: Of each node's box.
        routes: For each edge its corners, from the producer's lower side to the consumer's upper side; consecutive
            corners share x or y.
    """

    width: float
    height: float
    centres: list[Point]
    routes: list[list[Point]]


@dataclass(kw_only=True)
class _Column:
    """A piece of a folded drawing: rows `first` to `last`, drawn with slot `left` at pixel `x`."""

    first: int
    last: int
    left: int
    right: int
    x: float = 0.0

    def place(self, slot: int) -> float:
        return self.x + (slot - self.left) * UNIT


def place(
    edges: NDArray[np.int64],
    sizes: Sequence[tuple[float, float]],
    *,
    aspect: float = 1.6,
    fold_height: float = FOLD_HEIGHT,
    blocks: Sequence[Sequence[int]] = (),
) -> Placement:
    """Place the nodes of a graph and route its edges.

    Args:
        edges: (E, 2), pairs (producer, consumer) of a graph in topological order.
        sizes: Width and height of each node's box, in pixels.
        aspect: Width over height to aim at where the drawing has to be folded.
        fold_height: Pixels; a drawing lower than this is not folded.
        blocks: Nodes that had better stay in one column.

    Returns:
        The geometry; `routes` in the order of `edges`.
    """
    tracks = Tracks(edges, sizes)
    return _Sheet(tracks, sizes, aspect, fold_height, blocks).placement()


class _Sheet:
    """Turns tracks into pixels: heights of rows and gaps, columns, corners of the edges."""

    def __init__(
        self,
        tracks: Tracks,
        sizes: Sequence[tuple[float, float]],
        aspect: float,
        fold_height: float,
        blocks: Sequence[Sequence[int]],
    ) -> None:
        self.tracks, self.sizes = tracks, sizes
        rows = [sorted(tracks.row[node] for node in block) for block in blocks]
        self.within = {row for block in rows for row in range(block[0] + 1, block[-1] + 1)}
        self._set_levels()
        self._measure_rows()
        self.columns = self._columns(self._fold(aspect, fold_height))
        self.column_of = [column for column in self.columns for _ in range(column.first, column.last + 1)]
        self.cuts = {column.last: tracks.wires[column.last] for column in self.columns[:-1]}
        self.crossing = max((len(wires) + 1 for wires in self.cuts.values()), default=0) * SPACING
        self.top = MARGIN + self.crossing

    def placement(self) -> Placement:
        x = MARGIN
        for column in self.columns:
            column.x = x
            x += (column.right - column.left) * UNIT + 2 * UNIT + SPACING * len(self.cuts.get(column.last, ()))
        rows, chain_of = self.tracks.row, self.tracks.chain_of
        centres = [
            Point(self._x(row, chain.slot), self._middle(row)) for row, chain in zip(rows, chain_of, strict=True)
        ]
        routes = [self._route(producer, consumer) for producer, consumer in self.tracks.edges]
        lowest = max(self._gap_top(column.last) + self._gap_height(column.last) for column in self.columns)
        return Placement(
            width=x - 2 * UNIT + MARGIN, height=lowest + self.crossing + MARGIN, centres=centres, routes=routes
        )

    # Horizontal lines

    def _set_levels(self) -> None:
        """Height of the horizontal line at which a producer fans out, and of the one where a consumer's inputs meet.

        Fans lie above merges in a gap: else a line that has just merged would seem to fan out again.
        """
        tracks = self.tracks
        fans: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        merges: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for producer, consumer in tracks.edges:
            slots = {tracks.trunk(producer, consumer).slot, tracks.chain_of[consumer].slot}
            gap = tracks.row[consumer] - 1
            if len(tracks.fed_by[consumer]) > 1:
                merges[gap][consumer] |= slots
            else:
                fans[gap][producer] |= slots
        for producer, lane in tracks.lanes.items():
            fans[tracks.row[producer]][producer] |= {tracks.chain_of[producer].slot, lane.slot}
        self.gap_slots: dict[int, list[int]] = {
            gap: [slot for nets in (fans[gap], merges[gap]) for slots in nets.values() for slot in slots]
            for gap in {*fans, *merges}
        }
        self.fans, self.merges = _colour(fans), _colour(merges)  # by node: (gap, level counted from the top)

    def _measure_rows(self) -> None:
        count = self.tracks.row_count
        self.fan_levels = _count_levels(self.fans.values(), count)
        self.merge_levels = _count_levels(self.merges.values(), count)
        self.box_height = [0.0] * count
        for row, (_, height) in zip(self.tracks.row, self.sizes, strict=True):
            self.box_height[row] = max(self.box_height[row], height)
        heights = [self.box_height[row] + self._gap_height(row) for row in range(count)]
        self.above = np.concatenate([[0.0], np.cumsum(heights)])  # height of all rows above a row

    def _gap_height(self, gap: int) -> float:
        return 15.0 + SPACING * (self.fan_levels[gap] + self.merge_levels[gap])

    # Folding

    def _fold(self, aspect: float, fold_height: float) -> list[int]:
        """Last rows of the columns: even heights, cut where few lines cross (a shortest path over the cuts)."""
        rows, total = self.tracks.row_count, float(self.above[-1])
        area = sum((track.last - track.first + 1) * (2 * track.half + 1) for track in self.tracks.all)
        width = (area / rows + 3) * UNIT
        count = max(1, round(math.sqrt(aspect * total / width))) if total > fold_height else 1
        if count == 1:
            return [rows - 1]
        target = total / count
        best: list[tuple[float, int]] = [(0.0, -1)]  # for the rows above `end`: cost, where its last column starts
        for end in range(1, rows + 1):
            options: list[tuple[float, int]] = []
            for start in range(end - 1, -1, -1):
                height = float(self.above[end] - self.above[start])
                if height > 1.6 * target and options:
                    break
                cut = 0.3 * math.sqrt(max(len(self.tracks.wires[start - 1]) - 1, 0)) if start else 0.0
                cut += DIVIDED * (start in self.within)
                excess = height / target - 1
                weight = 0.5 if end == rows and excess < 0 else 3.0
                options.append((best[start][0] + weight * excess * excess + cut, start))
            best.append(min(options))
        ends = [rows]
        while best[ends[-1]][1] > 0:
            ends.append(best[ends[-1]][1])
        return [end - 1 for end in reversed(ends)]

    def _columns(self, last_rows: list[int]) -> list[_Column]:
        columns, first = [], 0
        for last in last_rows:
            here = [track for track in self.tracks.all if track.first <= last and track.last >= first]
            turned = self.gap_slots.get(last, [])
            left = min([track.slot - track.half for track in here] + turned)
            right = max([track.slot + track.half for track in here] + turned)
            columns.append(_Column(first=first, last=last, left=left, right=right))
            first = last + 1
        return columns

    # Pixels

    def _x(self, row: int, slot: int) -> float:
        return self.column_of[row].place(slot)

    def _row_top(self, row: int) -> float:
        return self.top + float(self.above[row] - self.above[self.column_of[row].first])

    def _middle(self, row: int) -> float:
        return self._row_top(row) + self.box_height[row] / 2

    def _gap_top(self, gap: int) -> float:
        return self._row_top(gap) + self.box_height[gap]

    def _fan_y(self, producer: int) -> float:
        gap, level = self.fans[producer]
        return self._gap_top(gap) + 5 + SPACING * level

    def _merge_y(self, consumer: int) -> float:
        gap, level = self.merges[consumer]
        return self._gap_top(gap) + 6 + SPACING * (self.fan_levels[gap] + level)

    def _route(self, producer: int, consumer: int) -> list[Point]:
        tracks = self.tracks
        start, gap = tracks.row[producer], tracks.row[consumer] - 1
        from_slot, to_slot = tracks.chain_of[producer].slot, tracks.chain_of[consumer].slot
        trunk = tracks.trunk(producer, consumer).slot
        points = [Point(self._x(start, from_slot), self._middle(start) + self.sizes[producer][1] / 2)]
        if trunk != from_slot:
            y = self._fan_y(producer)
            points += [Point(self._x(start, from_slot), y), Point(self._x(start, trunk), y)]
        points += self._descend(trunk, start, gap)
        shift = 0.0
        if trunk != to_slot:
            y = self._merge_y(consumer) if len(tracks.fed_by[consumer]) > 1 else self._fan_y(producer)
            if tracks.chain_of[consumer].nodes[0] != consumer:
                # Beside the line that comes straight from above, which may still turn off to another consumer.
                shift = math.copysign(PORT, trunk - to_slot)
            points += [Point(self._x(gap, trunk), y), Point(self._x(gap, to_slot) + shift, y)]
        points += self._descend(to_slot, gap, gap + 1, shift)
        x = self._x(gap + 1, to_slot) + (0 if gap in self.cuts else shift)
        return _straighten([*points, Point(x, self._middle(gap + 1) - self.sizes[consumer][1] / 2)])

    def _descend(self, slot: int, start: int, end: int, shift: float = 0.0) -> list[Point]:
        """Corners of a vertical line from gap `start` into row `end`: at a cut it goes over to the next column."""
        points: list[Point] = []
        for gap in range(start, end):
            if gap not in self.cuts:
                continue
            wires = self.cuts[gap]
            column, following = self.column_of[gap], self.column_of[gap + 1]
            rank = len(wires) - 1 - wires.index(slot)  # the rightmost turns first, so that lines do not cross
            gutter = column.place(column.right) + UNIT + SPACING * rank
            bottom = self._gap_top(gap) + self._gap_height(gap) - SPACING / 2 + SPACING * rank
            top = self.top - SPACING * (len(wires) - rank)
            points += [Point(column.place(slot) + shift, bottom), Point(gutter, bottom)]
            points += [Point(gutter, top), Point(following.place(slot), top)]
        return points


def _colour(nets: dict[int, dict[int, set[int]]]) -> dict[int, tuple[int, int]]:
    """Levels for the horizontal lines of each gap so that lines on one level do not touch."""
    levels: dict[int, tuple[int, int]] = {}
    for gap, slots_of in nets.items():
        spans = sorted((min(slots), max(slots), owner) for owner, slots in slots_of.items() if len(slots) > 1)
        ends: list[int] = []
        for low, high, owner in spans:
            level = next((level for level, end in enumerate(ends) if end < low), len(ends))
            ends[level:] = [high, *ends[level + 1 :]]
            levels[owner] = (gap, level)
    return levels


def _count_levels(levels: Iterable[tuple[int, int]], gaps: int) -> list[int]:
    counts = [0] * gaps
    for gap, level in levels:
        counts[gap] = max(counts[gap], level + 1)
    return counts


def _straighten(points: list[Point]) -> list[Point]:
    """The same line without corners at which it does not turn."""
    kept = [points[0]]
    for point in points[1:]:
        if point == kept[-1]:
            continue
        if len(kept) > 1 and (kept[-2].x == kept[-1].x == point.x or kept[-2].y == kept[-1].y == point.y):
            kept[-1] = point
        else:
            kept.append(point)
    return kept
