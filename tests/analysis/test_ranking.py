"""Rank correlations."""

from __future__ import annotations

import itertools
import json
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
    read_accuracies,
    resampled,
    scored,
    trained_accuracies,
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


def test_accuracies_after_training(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    found = trained_accuracies(networks(), 2, learning_rates=(0.05,), folder=tmp_path)
    assert set(found) == {SMALL, WIDER}
    assert all(0 <= value <= 1 for value in found.values())
    files = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert trained_accuracies(networks(), 2, learning_rates=(0.05,), folder=tmp_path) == found
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == files


@pytest.mark.parametrize(
    ("name", "content", "column", "expected"),
    [
        ("a.csv", "model,accuracy\nx,0.5\ny, 0.25\n", "", {"x": 0.5, "y": 0.25}),
        ("a.csv", "\ufeffmodel,family,top1\nx,ResNet,50\ny,VGG,\n", "", {"x": 50.0}),
        ("a.csv", "model,a,b\nx,1,2\n", ":b", {"x": 2.0}),
        ("a.json", '{"x": 0.5, "y": 1, "note": "text"}', "", {"x": 0.5, "y": 1}),
        ("a.json", '{"models": {"x": {"a": 1, "b": 2}, "y": {"a": null, "b": 3}}}', ":b", {"x": 2, "y": 3}),
        ("a.json", '{"accuracies": {"x": 0.5}, "networks": []}', "", {"x": 0.5}),
    ],
)
def test_accuracies_of_a_file(tmp_path: Path, name: str, content: str, column: str, expected: dict[str, float]) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_accuracies(f"{tmp_path / name}{column}") == expected


def test_accuracies_of_an_evaluation(tmp_path: Path) -> None:
    rows = [
        {"kind": "split", "split": "test", "index": 3, "start": "ghn", "top1": 0.4},
        {"kind": "model", "split": "resnet18", "index": 0, "start": "ghn", "top1": None},
        {"kind": "model", "split": "vgg11", "index": 0, "start": "ghn", "top1": 0.2},
    ]
    (tmp_path / "e.json").write_text(json.dumps({"command": "evaluate", "networks": rows}))
    assert read_accuracies(str(tmp_path / "e.json")) == {"test/3": 0.4, "vgg11": 0.2}


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.csv", "model,a,b\nx,1,2\n", "", "has several numbers a network: say which"),
        ("a.csv", "model,a,b\nx,1,2\n", ":c", "has no column 'c'; there are a, b"),
        ("a.csv", "", "", "holds no accuracies"),
        ("a.json", "[1]", "", "holds no accuracies"),
        ("a.json", '{"x": ', "", "holds no accuracies"),
        ("a.json", '{"x": "y"}', "", "holds no accuracies"),
        ("a.json", b"\xff\xfe", "", "holds no accuracies"),
    ],
)
def test_a_file_without_accuracies_is_told(
    tmp_path: Path, name: str, content: str | bytes, column: str, message: str
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=message) as caught:
        read_accuracies(f"{tmp_path / name}{column}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match=r"nowhere.csv is no file; give accuracies as .csv or .json"):
        read_accuracies("nowhere.csv")
