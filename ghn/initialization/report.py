"""What an initialisation says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ghn.batch_norm import StatisticsReport
from ghn.common.text import printable
from ghn.graph.reasons import Reason

LISTED_NAMES = 12
"""Kept parameters that a printed report names; the others are counted by reason."""


@dataclass(frozen=True, kw_only=True)
class InitReport:
    """What was predicted, what was not, and why; `print(report)` is a readable table.

    Attributes:
        predicted: Names of the predicted parameters.
        kept: Names of the parameters that keep the model's own initialisation, each with the reason.
        fraction: Predicted elements / all elements, tied parameters counted once.
        traced_by: How the graph was obtained (see `ghn.trace`).
        seconds: Wall-clock seconds by part: tracing, encoding, decoding, writing.
        total_norm: Euclidean norm of all predicted parameters, the random rows of position tables excepted.
        statistics: What became of the batch norms' statistics; None where these were not asked for.
    """

    predicted: tuple[str, ...]
    kept: Mapping[str, Reason]
    fraction: float
    traced_by: str
    seconds: Mapping[str, float]
    total_norm: float
    statistics: StatisticsReport | None = None

    def __str__(self) -> str:
        by_modules = self.traced_by == "modules"
        times = ", ".join(f"{part} {1000 * seconds:.0f} ms" for part, seconds in self.seconds.items())
        lines = [
            f"predicted   {len(self.predicted)} of {len(self.predicted) + len(self.kept)} parameters, "
            f"{100 * self.fraction:.2f} % of all elements",
            *(["graph       the order of its modules: its forward pass could not be run"] if by_modules else []),
            f"seconds     {sum(self.seconds.values()):.3f} ({times})",
            *([f"statistics  {self.statistics}"] if self.statistics is not None else []),
        ]
        if 0 < len(self.kept) <= LISTED_NAMES:
            names = {name: printable(name) for name in self.kept}
            width = max(map(len, names.values()))
            lines += ["kept", *(f"  {names[name]:<{width}}  {printable(reason)}" for name, reason in self.kept.items())]
        elif self.kept:
            counts = Counter(self.kept.values()).most_common()
            lines += ["kept", *(f"  {count:>5} parameters  {printable(reason)}" for reason, count in counts)]
        return "\n".join(lines)
