"""What was written into a tensor part by part.

A buffer of n columns that are written one by one is n tensors, each of one part more than the one before: they share
what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ghn.graph.read.flow import CONSTANT, Flow
from ghn.graph.record.op_graph import Value
from ghn.graph.record.writes import Writes

FEW = 16
"""So many parts that were written over are kept among the others."""

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Part:
    """What was written into a tensor, or what it was before: its provenance, and where it stands in memory."""

    flow: Flow
    place: Value

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.place.distinct


class Tally(NamedTuple):
    """How many parts there are, of which kinds, and of how many elements together."""

    parts: int = 0
    size: int = 0
    varying: int = 0
    running: int = 0
    carrying: int = 0
    scores: int = 0
    weights: int = 0
    parameters: int = 0

    @classmethod
    def of(cls, part: Part) -> Tally:
        """That of one part."""
        flow, runs = part.flow, part.flow.runs
        return cls(
            parts=1,
            size=part.size,
            varying=flow is not CONSTANT,
            running=runs,
            carrying=bool(flow.carriers),
            scores=runs and flow.score,
            weights=runs and flow.attention,
            parameters=flow.is_parameter,
        )

    def plus(self, other: Tally, times: int = 1) -> Tally:
        """That of both together, or of this without the other."""
        return Tally(*(own + times * others for own, others in zip(self, other, strict=True)))


class Parts:
    """What a tensor was before parts were written into it, and these parts, the base first. Immutable.

    Attributes:
        base: What it was before; a constant once the parts cover everything.
        written: Counts the parts that were written and not written over since.
    """

    __slots__ = ("_log", "_version", "base", "written")

    def __init__(self, base: Part, log: _Log | None = None, written: Tally | None = None) -> None:
        self.base = base
        self.written = Tally() if written is None else written
        self._log = _Log() if log is None else log
        self._version = len(self._log.parts)

    def __iter__(self) -> Iterator[Part]:
        yield self.base
        yield from self._log.standing(self._version)

    @property
    def all(self) -> Tally:
        """Counts all parts, the base too."""
        return self.written.plus(Tally.of(self.base))

    def with_part(self, part: Part, *, over: bool) -> Parts:
        """The tensor after a further part was written.

        Args:
            part: It.
            over: Whether parts that stand at the very same place are gone.
        """
        log, written = self._log, self.written
        if self._version < len(log.parts) or len(log.parts) > 2 * written.parts + FEW:
            log = _Log(log.standing(self._version))
        if over:
            for gone in log.take_away(part.place):
                written = written.plus(Tally.of(gone), -1)
        log.append(part)
        return Parts(self.base, log, written.plus(Tally.of(part)))

    def without_base(self, whole: Value) -> Parts:
        """The tensor `whole`, of which the parts cover everything."""
        parts = Parts(Part(CONSTANT, whole), self._log, self.written)
        parts._version = self._version
        return parts

    def shown_by(self, view: Value) -> list[Part] | None:
        """The parts that a view of the tensor shows, the base among them if they do not fill it.

        Returns:
            None where it shows all parts, or where these stand in other memory.
        """
        if self.base.place.storage != view.storage or self._log.is_elsewhere(view.storage, self._version):
            return None
        shown = self._log.overlapping(view, self._version)
        if len(shown) == self.written.parts:
            return None
        return shown if sum(part.size for part in shown) >= view.distinct else [self.base, *shown]

    def parameters_to_note(self) -> Iterator[Flow]:
        """Provenance of the parts that are parameters, without those for which this was asked before."""
        if self.base.flow.is_parameter and self._log.noted_base is not self.base:
            self._log.noted_base = self.base
            yield self.base.flow
        yield from self._log.parameters_to_note()


class _Log:
    """Parts in the order in which they were written, and since when each is gone."""

    def __init__(self, parts: Iterator[Part] | tuple[()] = ()) -> None:
        self.parts: list[Part] = []
        self.noted_base: Part | None = None
        self._noted = 0
        self._storages: dict[int, int] = {}  # and since when a part stands in them
        self._gone = np.full(FEW, _NEVER, dtype=np.int64)
        self._writes = Writes()
        self._standing_at: dict[Any, list[int]] = {}
        for part in parts:
            self.append(part)

    def append(self, part: Part) -> None:
        number = len(self.parts)
        if number == len(self._gone):
            self._gone = np.concatenate([self._gone, np.full(number, _NEVER, dtype=np.int64)])
        self.parts.append(part)
        self._storages.setdefault(part.place.storage, number)
        self._writes.append(number, part.place)
        self._standing_at.setdefault(_place(part.place), []).append(number)

    def take_away(self, place: Value) -> list[Part]:
        """Let the parts at a place be gone from the next version on."""
        numbers = self._standing_at.pop(_place(place), [])
        self._gone[numbers] = len(self.parts) + 1
        return [self.parts[number] for number in numbers]

    def standing(self, version: int) -> Iterator[Part]:
        """The parts of a version, which is the number of parts that had been written."""
        for number in np.flatnonzero(self._gone[:version] > version).tolist():
            yield self.parts[number]

    def is_elsewhere(self, storage: int, version: int) -> bool:
        """Whether a part of a version stands in other memory; one that is gone was written over by such a part."""
        return any(own != storage and since < version for own, since in self._storages.items())

    def overlapping(self, view: Value, version: int) -> list[Part]:
        numbers = np.array(self._writes.seen_by(-1, view, 0), dtype=np.int64)
        numbers = numbers[numbers < version]
        return [self.parts[number] for number in numbers[self._gone[numbers] > version].tolist()]

    def parameters_to_note(self) -> Iterator[Flow]:
        for number in range(self._noted, len(self.parts)):
            if self._gone[number] == _NEVER and self.parts[number].flow.is_parameter:
                yield self.parts[number].flow
        self._noted = len(self.parts)


def _place(value: Value) -> Any:
    return value.storage, value.offset, value.shape, value.stride
