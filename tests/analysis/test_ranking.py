"""Rank correlations."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.networks import Networks
from ghn.analysis.ranking import (
    Correlation,
    correlations,
    kendall,
    resampled,
    scored,
    with_interval,
)
from ghn.analysis.records import Record
from tests.analysis.networks import SMALL, WIDER


def counted(x: list[float], y: list[float]) -> float:
    """τ-b, pair by pair."""
    concordant = discordant = only_x = only_y = 0
    for (a, b), (c, d) in itertools.combinations(zip(x, y, strict=True), 2):
        product = (a - c) * (b - d)
        concordant += product > 0
        discordant += product < 0
        only_x += a == c and b != d
        only_y += b == d and a != c
    untied = concordant + discordant
    return (concordant - discordant) / math.sqrt((untied + only_x) * (untied + only_y))


@pytest.mark.parametrize("seed", range(6))
def test_tau_is_that_of_a_count(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 9, 25).tolist()
    y = (np.array(x) * (seed - 2) + generator.integers(0, 12, 25)).tolist()
    assert kendall(x, y) == pytest.approx(counted(x, y), abs=1e-12)


def test_draws_with_repetitions_are_those_of_their_lists() -> None:
    generator = np.random.default_rng(1)
    x, y = (generator.integers(0, 6, 9).tolist() for _ in range(2))
    drawn = np.vstack([generator.integers(0, 9, (8, 9)), np.zeros((1, 9), dtype=int)])
    found = resampled(x, y, np.stack([np.bincount(places, minlength=9) for places in drawn]))
    for value, places in zip(found[:-1], drawn[:-1], strict=True):
        assert value == pytest.approx(kendall([x[place] for place in places], [y[place] for place in places]))
    assert math.isnan(found[-1])


def test_the_interval_holds_tau_and_narrows_with_networks() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=120)
    y = x + generator.normal(size=120)
    tau, low, high = with_interval(x.tolist(), y.tolist(), resamples=200)
    assert -1 <= low < tau < high <= 1
    _, low_few, high_few = with_interval(x[:12].tolist(), y[:12].tolist(), resamples=200)
    assert high_few - low_few > high - low
    assert with_interval(x.tolist(), y.tolist(), resamples=50, seed=3) == with_interval(
        x.tolist(), y.tolist(), resamples=50, seed=3
    )
    # All draws of an order without exceptions have it, too.
    assert with_interval([1, 2, 3, 4], [2, 4, 6, 8], resamples=50) == (1.0, 1.0, 1.0)


def record(model: str, start: str = "default", error: str | None = None, **scores: float | None) -> Record:
    return Record(model=model, family="", start=start, values={"scores": scores, "reasons": {}}, error=error)


def test_networks_with_both_count() -> None:
    found = [
        record("a", snip=1.0, fisher=None),
        record("b", snip=3.0, fisher=1.0),
        record("c", snip=2.0, fisher=2.0),
        record("d", snip=9.0, fisher=1.0),
        record("e", error="it broke"),
        record("a", "ghn", snip=1.0),
        record("b", "ghn", snip=1.0),
        record("c", "ghn", snip=1.0),
    ]
    rows = correlations(found, {"a": 0.1, "b": 0.3, "c": 0.2, "e": 0.4}, resamples=20)
    by = {(row.score, row.start): row for row in rows}
    assert (by["snip", "default"].tau, by["snip", "default"].networks) == (1.0, 3)
    assert by["fisher", "default"].reason == "2 networks have both, and it takes 3"
    assert by["snip", "ghn"].reason == "all networks have the same score"
    assert math.isnan(by["snip", "ghn"].tau)
    assert by["snip", "ghn"].to_dict()["tau"] is None
    with pytest.raises(ValueError, match="none of these networks has an accuracy; there are accuracies of x"):
        correlations(found, {"x": 1.0})
    assert isinstance(rows[0], Correlation)


def networks(**settings: object) -> Networks:
    given = {"models": (SMALL, WIDER), "images": 6, **settings}
    return Networks(AnalysisConfig(**given))  # type: ignore[arg-type]


def test_scores_of_networks_with_the_accuracy_of_their_start(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    found = scored(networks(), ["snip", "naswot", "accuracy"], folder=tmp_path)
    assert [list(one.values["scores"]) for one in found] == [["snip", "naswot", "accuracy"]] * 2
    for one in found:
        assert one.values["scores"]["accuracy"] * 6 == pytest.approx(round(one.values["scores"]["accuracy"] * 6))
    with pytest.raises(ValueError, match="unknown score 'snap'"):
        scored(networks(), ["snap"])
