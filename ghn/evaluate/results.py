"""What an evaluation gives: a record a network and start, and tables of them."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ghn.common.text import without_nan
from ghn.evaluate.config import BatchNormMode, EvaluationConfig

Kind = Literal["split", "predefined", "model"]
Key = tuple[str, str, int, str]
"""Kind, split or name, index, start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResult:
    """One network from one start.

    Attributes:
        kind: Where the network is from.
        split: Split of DeepNets-1M, or the name of a predefined network or a model.
        index: Number in the split.
        start: The chain of initialisers, as `ghn.initializers.create` takes it.
        steps: Training steps: none.
        top1: Share of images classified rightly, 0..1; NaN where the network could not be evaluated.
        top5: Share of images whose class is among the five best.
        loss: Mean cross-entropy; NaN where it is not finite.
        images: Images it was evaluated on.
        data: Whose test images these are.
        head: Steps of the start that set the classification head; "re-initialised" where it has the model's own
            initialisation; None where there is none, or it is not known.
        batch_norm_mode: Which statistics batch norms used.
        seed: Of the evaluation.
        parameters: Elements of its parameters.
        nodes: Nodes of its graph; None where it was not traced.
        cells: Cells; None for others than those of DeepNets-1M.
        megamacs: Millions of multiply-adds for an image; None likewise.
        attention: Whether it has self-attention; None where it was not traced.
        batch_norm: Whether it has batch norms; None likewise.
        seconds: Time to set its parameters.
        scoring_seconds: Time to run it on the images.
        versions: Of what numbers depend on.
        error: Why it could not be evaluated; None where it was.
    """

    kind: Kind
    split: str
    index: int
    start: str
    steps: int = 0
    top1: float = math.nan
    top5: float = math.nan
    loss: float = math.nan
    images: int = 0
    data: str
    head: str | None = None
    batch_norm_mode: BatchNormMode
    seed: int
    parameters: int = 0
    nodes: int | None = None
    cells: int | None = None
    megamacs: float | None = None
    attention: bool | None = None
    batch_norm: bool | None = None
    seconds: float = 0.0
    scoring_seconds: float = 0.0
    versions: dict[str, str]
    error: str | None = None

    @property
    def key(self) -> Key:
        """What tells results of an evaluation apart."""
        return self.kind, self.split, self.index, self.start

    @property
    def model(self) -> str:
        """The network in a word or two."""
        return f"{self.split} {self.index}" if self.kind == "split" else self.split

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which has no NaN."""
        return {"model": self.model, **without_nan(asdict(self))}

    @classmethod
    def from_dict(cls, values: Any) -> NetworkResult:
        """The inverse of `to_dict`.

        Raises:
            ValueError: If it is no such record.
        """
        names = {entry.name for entry in fields(cls)}
        given = {name: value for name, value in values.items() if name != "model"} if isinstance(values, dict) else {}
        if set(given) != names or not all(isinstance(given[name], str) for name in ("kind", "split", "start")):
            raise ValueError("it is no record of a network")
        numbers = {name: math.nan if given[name] is None else given[name] for name in ("top1", "top5", "loss")}
        if not all(isinstance(number, (int, float)) for number in numbers.values()) or type(given["index"]) is not int:
            raise ValueError("it is no record of a network")
        return cls(**{**given, **numbers})


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of an evaluation.

    Attributes:
        config: What was evaluated.
        hypernet: The config of the hypernetwork; None where there was none.
        networks: Results by network, and for each network by start.
    """

    config: EvaluationConfig
    hypernet: dict[str, Any] | None
    networks: tuple[NetworkResult, ...]

    @property
    def failed(self) -> tuple[NetworkResult, ...]:
        """Networks that could not be evaluated."""
        return tuple(result for result in self.networks if result.error is not None)

    def rows(self) -> list[dict[str, Any]]:
        """For each group and start: networks, mean, standard deviation and range of the top-1 accuracy in per cent.

        A group is a split, or a single network.
        """
        sound = [result for result in self.networks if result.error is None]
        rows = []
        for kind, split, start in dict.fromkeys((result.kind, result.split, result.start) for result in sound):
            values = [
                100 * result.top1
                for result in sound
                if (result.kind, result.split, result.start) == (kind, split, start)
            ]
            rows.append(
                {
                    "kind": kind,
                    "split": split,
                    "start": start,
                    "networks": len(values),
                    "mean": statistics.fmean(values),
                    "std": statistics.pstdev(values),
                    "least": min(values),
                    "most": max(values),
                }
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "config": self.config.to_dict(),
            "hypernet": self.hypernet,
            "planned": self.config.count * len(self.config.starts),
            "finished": len(self.networks),
            "summary": self.rows(),
            "networks": [result.to_dict() for result in self.networks],
        }

    def __str__(self) -> str:
        rows = self.rows()
        width = max([9, *(len(row["split"]) for row in rows)])
        starts = max([5, *(len(row["start"]) for row in rows)])
        lines = [f"{'group':<{width}} {'start':<{starts}} networks  top-1 accuracy, %     range"]
        for row in rows:
            lines.append(
                f"{row['split']:<{width}} {row['start']:<{starts}} {row['networks']:>8}  "
                f"{row['mean']:>6.2f} ± {row['std']:<6.2f}   {row['least']:>8.1f}–{row['most']:.1f}"
            )
        lines += [f"{result.model} from {result.start} failed: {result.error}" for result in self.failed]
        return "\n".join(lines)
