"""How well scores rank networks: Kendall's τ of a score with accuracies after training.

Source: GHN-3 (Knyazev et al., ICML 2023), table 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from torch import nn

from ghn.analysis.networks import Batch, Networks
from ghn.analysis.records import Record, records
from ghn.analysis.zero_cost.network import Network
from ghn.analysis.zero_cost.table import SCORES, Score, checked, score_table
from ghn.common.text import shown, without_nan
from ghn.evaluate.accuracy import score_batches

ACCURACY = "accuracy"
"""Share of the images that a network classifies rightly from its start, as a score."""

RESAMPLES = 1000

FEWEST = 3
"""Networks without which a rank correlation says nothing."""


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Kendall's τ of a score with accuracies.

    Attributes:
        score: The score's name.
        start: From which start it was taken.
        tau: Kendall's τ-b, −1..1; NaN where it is undefined.
        low: Lower end of the interval of 95 %.
        high: Its upper end.
        networks: Number that have both.
        reason: Why τ is undefined; None where it is not.
    """

    score: str
    start: str
    tau: float
    low: float = math.nan
    high: float = math.nan
    networks: int = 0
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return without_nan(asdict(self))


def kendall(x: Sequence[float], y: Sequence[float]) -> float:
    """τ-b: concordant minus discordant pairs, over the root of the pairs untied in x times those untied in y."""
    return float(kendalltau(x, y, method="asymptotic").statistic)


def with_interval(
    x: Sequence[float], y: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """τ and its interval of 95 %: percentiles over networks drawn with replacement.

    Args:
        x: A score of each network.
        y: Its accuracy.
        resamples: Number of draws.
        seed: Governs them.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(x), (resamples, len(x)))
    counts = np.stack([np.bincount(places, minlength=len(x)) for places in drawn])
    found = resampled(x, y, counts)
    values = found[~np.isnan(found)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (math.nan, math.nan)
    return kendall(x, y), float(low), float(high)


def resampled(x: Sequence[float], y: Sequence[float], counts: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """τ-b of networks that are drawn several times: (R,) for `counts` (R, n); NaN where all are alike.

    Pairs are counted by how often both are drawn: the same as `kendall` of the list with repetitions, at once for all.
    """
    signs_x, signs_y = (np.sign(np.subtract.outer(values, values)) for values in map(np.asarray, (x, y)))
    weights = counts.astype(float)

    def over_pairs(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((weights @ values) * weights).sum(1)

    untied = np.sqrt(over_pairs(np.abs(signs_x)) * over_pairs(np.abs(signs_y)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(untied > 0, over_pairs(signs_x * signs_y) / untied, np.nan)


def scored(
    networks: Networks,
    names: Iterable[str] = (*SCORES, ACCURACY),
    *,
    folder: str | Path | None = None,
    progress: Callable[[Record], None] | None = None,
) -> list[Record]:
    """Scores of every network from every start; `reasons` has why one is undefined.

    Args:
        networks: These.
        names: Which of `SCORES`, or `accuracy` on the images.
        folder: See `ghn.analysis.records.records`.
        progress: Likewise.

    Raises:
        ValueError: For an unknown score.
    """
    chosen = list(dict.fromkeys(names))
    checked(name for name in chosen if name != ACCURACY)

    def measure(model: nn.Module, batch: Batch) -> Mapping[str, Any]:
        table = score_table(model, batch, names=[name for name in chosen if name != ACCURACY])
        if ACCURACY in chosen:
            table[ACCURACY] = _accuracy(model, batch)
        return {
            "scores": without_nan({name: table[name].value for name in chosen}),
            "reasons": {name: score.reason for name, score in table.items() if score.reason is not None},
        }

    return list(records(networks, "scores", measure, settings={"scores": chosen}, folder=folder, progress=progress))


def _accuracy(model: nn.Module, batch: Batch) -> Score:
    """Share of the images that a network classifies rightly, batch norms normalising by them."""
    network = Network(model, batch)
    try:
        with network.trained():
            return Score(score_batches(model, [(network.images, network.labels)]).top1)
    except ValueError as error:
        return Score(math.nan, str(error))


def correlations(
    found: Sequence[Record], accuracies: Mapping[str, float], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Correlation]:
    """τ of each score from each start with accuracies.

    Args:
        found: What `scored` gave.
        accuracies: By network; those without a score are not looked at.
        resamples: For the intervals.
        seed: Likewise.

    Raises:
        ValueError: If no network has an accuracy.
    """
    sound = [record for record in found if record.error is None]
    check_accuracies([record.model for record in sound], accuracies)
    starts = dict.fromkeys(record.start for record in sound)
    names = list(dict.fromkeys(name for record in sound for name in record.values["scores"]))
    rows = []
    for start in starts:
        of_start = [record for record in sound if record.start == start and record.model in accuracies]
        for name in names:
            pairs = [
                (record.values["scores"][name], accuracies[record.model])
                for record in of_start
                if record.values["scores"].get(name) is not None
            ]
            rows.append(_correlation(name, start, pairs, resamples, seed))
    return rows


def check_accuracies(models: Iterable[str], accuracies: Mapping[str, float]) -> None:
    """See that at least one network has an accuracy.

    Raises:
        ValueError: If none does.
    """
    if not any(model in accuracies for model in models):
        some = ", ".join(list(accuracies)[:3])
        raise ValueError(f"none of these networks has an accuracy; there are accuracies of {shown(some)}, ...")


def _correlation(name: str, start: str, pairs: list[tuple[float, float]], resamples: int, seed: int) -> Correlation:
    if len(pairs) < FEWEST:
        reason = f"{len(pairs)} networks have both, and it takes {FEWEST}"
        return Correlation(score=name, start=start, tau=math.nan, networks=len(pairs), reason=reason)
    x, y = zip(*pairs, strict=True)
    if len(set(x)) == 1 or len(set(y)) == 1:
        what = "score" if len(set(x)) == 1 else "accuracy"
        reason = f"all networks have the same {what}"
        return Correlation(score=name, start=start, tau=math.nan, networks=len(pairs), reason=reason)
    tau, low, high = with_interval(x, y, resamples=resamples, seed=seed)
    return Correlation(score=name, start=start, tau=tau, low=low, high=high, networks=len(pairs))
