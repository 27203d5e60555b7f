"""Numbers in README and in the documentation are those of the result files."""

from __future__ import annotations

import json
import re
from statistics import fmean, pstdev, stdev
from typing import Any

import pytest

from ghn.meta.runs import IN_SMALL, RUNS
from tests.documents import ROOT, text

HELPS = "docs/explanation/helps.md"


def record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def table(page: str, first: str) -> list[list[str]]:
    """Cells of the table whose head begins with these cells, the head included."""
    (found,) = re.findall(rf"^\| {re.escape(first)}.*\n\|[-| ]+\n(?:\|.*\n)+", text(page), re.MULTILINE)
    rows = found.splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (rows[0], *rows[2:])]


@pytest.mark.parametrize("page", ["README.md", HELPS])
def test_accuracy_before_any_training(page: str) -> None:
    starts = {
        "random": "default",
        "random, calibrated": "default+calibrate",
        "predicted": "ghn:ghn3-t-cifar10-wide+statistics",
        "predicted, calibrated": "ghn:ghn3-t-cifar10-wide+calibrate",
    }
    head, *rows = table(page, "model | random | random, calibrated")
    assert head[1:] == list(starts)
    assert len(rows) == 3
    lines = record("2026-11-26_calibration")["rows"]
    for name, *shown in rows:
        model = name.lower().replace("-", "")
        measured = {line["start"]: line["evaluation"] for line in lines if line["model"] == model}
        assert shown == [f"{measured[start]:.1f}" for start in starts.values()]


def test_accuracy_in_the_first_steps() -> None:
    head, random, predicted, ahead = table(HELPS, "| at once | after a tenth")
    lines = record("2026-11-23_starting_points")["rows"]
    for place, moment in enumerate(("at_once", "tenth", "epoch"), start=1):
        own = {kind: [line[f"{kind}_{moment}"] for line in lines] for kind in ("random", "predicted")}
        for row, kind in ((random, "random"), (predicted, "predicted")):
            assert row[place] == f"{fmean(own[kind]):.1f} ± {pstdev(own[kind]):.1f}"
        better = sum(b > a for a, b in zip(own["random"], own["predicted"], strict=True))
        assert ahead[place] == f"{better} of {len(lines)}"
    assert len(head) == 4


def test_starts_of_the_papers_second_table() -> None:
    names = {
        "random": "random",
        "GHN-2, trained for 200 steps": "ghn2-m8",
        "ghn3-t-cifar10": "ghn3-t-m8",
        "ghn3-t-cifar10-wide": "ghn3-xl-m16",
    }
    report = record("2026-11-27_experiments/table2")["report"]
    columns = [f"{group}-2, {moment}" for group in ("deepnets", "pytorch") for moment in ("no training", "1 epoch")]
    _, *rows = table("docs/explanation/paper.md", "start | DeepNets-1M, no training")
    assert [name for name, *_ in rows] == list(names)
    for name, *shown in rows:
        (ours,) = [row["ours"] for row in report["rows"] if row["name"] == names[name]]
        found = [ours[report["columns"].index(column)] for column in columns]
        assert shown == [f"{value['mean']:.1f} ± {value['std']:.1f}" for value in found]


def test_what_named_runs_take_in_small() -> None:
    rows = record("2026-11-27_named_runs")["rows"]
    assert all(row["finite"] for row in rows)
    assert {row["run"]: (round(row["seconds_a_step"], 1), round(row["peak_GB"], 1)) for row in rows} == IN_SMALL
    large = {name for name in RUNS if not name.endswith("-cpu") and name != "digits-smoke"}
    assert large == set(IN_SMALL), "every run was tried in one size or another"


def test_accuracy_of_networks_written_by_hand() -> None:
    _, *rows = table(HELPS, "network | at once | after 100")
    names = {"DenseNet-like": "densenet", "MobileNet-like": "mobilenet", "ViT-like": "vit", "thin ResNet": "thin"}
    lines = {(line["network"], line["start"]): line for line in record("2026-11-26_weight_selection")["rows"]}
    assert [row[0] for row in rows] == list(names)
    for name, *shown in rows:
        random, predicted = (lines[names[name], start] for start in ("random", "ghn"))
        for cell, moment in zip(shown, ("at_once", "tenth", "all"), strict=True):
            assert cell == f"{random[moment]:.1f} → {predicted[moment]:.1f}"


def test_accuracy_of_an_own_architecture() -> None:
    found = record(max(path.stem for path in (ROOT / "benchmarks" / "results").glob("*_own_architecture.json")))
    head, *rows = table(HELPS, "start | at once")
    steps = [0, *(int(re.sub(r"\D", "", cell)) for cell in head[2:5])]
    starts = found["config"]["inits"]
    assert len(rows) == len(starts)
    for row, start in zip(rows, starts, strict=True):
        cells = [cell for cell in found["rows"] if cell["init"] == start]
        for shown, step in zip(row[1:5], steps, strict=True):
            accuracies = [100 * cell["accuracies"][cell["steps"].index(step)] for cell in cells]
            assert shown == f"{fmean(accuracies):.1f} ± {stdev(accuracies):.1f}"


def test_accuracy_of_the_hypernetworks_in_the_package() -> None:
    _, *rows = table(HELPS, "networks | `ghn3-t-cifar10`")
    cards = {
        name: (ROOT / "ghn" / "pretrained" / name / "README.md").read_text(encoding="utf-8")
        for name in ("ghn3-t-cifar10", "ghn3-t-cifar10-wide")
    }
    assert len(rows) == 6
    for _, own, wide, published in rows:
        assert f"| {own}" in cards["ghn3-t-cifar10"]
        assert f"| {wide}" in cards["ghn3-t-cifar10-wide"]
        assert f"| {published} |" in cards["ghn3-t-cifar10"]


def test_the_sentence_under_the_picture() -> None:
    _, _, calibrated, predicted = table(HELPS, "start | at once")
    sentence = " ".join(text("README.md").split())
    assert f"{predicted[4]} % after 150 steps from a calibrated prediction" in sentence
    assert f"{calibrated[4]} % from a calibrated random start" in sentence


def test_the_picture_is_of_the_last_result() -> None:
    from xml.etree import ElementTree

    pictures = ROOT / "docs" / "pictures"
    overview = ElementTree.parse(pictures / "overview.svg").getroot()
    halves = [child for child in overview if child.tag.endswith("svg")]
    graph, curves = (ElementTree.parse(pictures / f"{name}.svg").getroot() for name in ("graph", "curves"))
    assert [len(list(half.iter())) for half in halves] == [len(list(whole.iter())) for whole in (graph, curves)]
    starts = record(max(path.stem for path in (ROOT / "benchmarks/results").glob("*_own_architecture.json")))["config"]
    written = (pictures / "curves.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {start} -->" in written for start in starts["inits"])


def test_accuracy_by_family() -> None:
    files = sorted((ROOT / "benchmarks" / "results").glob("*_calibrated_training.md"))
    if not files:
        pytest.skip("families were not measured yet")
    measured = files[-1].read_text(encoding="utf-8")
    first = re.search(r"^\| family \| model \|.*$", measured, re.MULTILINE)
    assert first is not None
    rows = [line for line in measured.splitlines() if line.startswith("|")][2:]
    shown = table(HELPS, "family | model")[1:]
    assert shown == [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_how_many_architectures_a_calibrated_prediction_is_ahead_on() -> None:
    rows = record("2026-11-26_calibrated_training")["rows"]
    trained = {(row["model"], row["start"]): row["trained"] for row in rows}
    models = {row["model"] for row in rows}
    ahead = [trained[model, "ghn+calibrate"] - trained[model, "default+calibrate"] for model in models]
    share = f"{sum(difference > 0 for difference in ahead)} of {len(ahead)}"
    helps = " ".join(text(HELPS).split())
    assert f"ahead of the calibrated random start on {share}, by {fmean(ahead):.1f} points on average" in helps
    assert f"calibrated random start on {share} architectures" in " ".join(text("docs/starts.md").split())
    assert f"calibrated random start on {share.split()[0]} after 200 steps" in " ".join(text("README.md").split())
    slow = {
        kind: sum(row["rate"] == 0.005 for row in rows if row["start"].startswith(kind)) for kind in ("ghn", "default")
    }
    assert f"smaller rate in {slow['ghn']} of 40 trainings, random ones in {slow['default']}" in helps


@pytest.mark.parametrize("name", ["ghn3-t-cifar10", "ghn3-t-cifar10-wide"])
def test_cards_show_architectures_beside_calibrated_random_ones(name: str) -> None:
    card = f"ghn/pretrained/{name}/README.md"
    *models, mean = table(card, "model | random, calibrated | this one")[1:]
    measured: dict[str, dict[str, float]] = {}
    for network in record("2026-11-27_model_cards")["networks"]:
        measured.setdefault(network["split"], {})[network["start"]] = 100 * network["top1"]
    columns = [[found[f"{start}+calibrate"] for found in measured.values()] for start in ("default", f"ghn:{name}")]
    assert models == [
        [model, *(f"{value:.1f}" for value in row)] for model, *row in zip(measured, *columns, strict=True)
    ]
    assert mean[1:] == [f"{fmean(values):.1f} ± {stdev(values):.1f}" for values in columns]
    ahead = sum(ours > theirs for theirs, ours in zip(*columns, strict=True))
    assert f"ahead of the random start on {ahead} of twelve" in text(card)


def test_scores_of_the_papers_networks() -> None:
    _, *rows = table("docs/explanation/paper.md", "score | here")
    (line,) = record("2026-11-27_analysis_rank")["rows"]
    assert line["records"] == 74
    found = {each["score"]: each for each in line["found"]["correlations"]}
    for name, tau, interval, published in rows:
        each = found[name]
        assert tau == f"{each['tau']:.2f}"
        assert interval == f"{each['low']:.2f} to {each['high']:.2f}"
        assert published == ("–" if each["published"] is None else f"{each['published']:.2f}")
        if each["published"] is not None:
            assert each["low"] <= each["published"] <= each["high"]
    assert f"τ of the number of parameters is {found['parameters']['tau']:.2f}" in text("docs/explanation/paper.md")


def test_training_tells_how_slowly_hypernetworks_start() -> None:
    said = " ".join(text("docs/training.md").split())
    rows = record("2026-11-27_slow_start")["rows"]
    order = [(variant, rate) for variant in ("variance", "published") for rate in (0.002, 0.0005)]
    losses = [[row["loss"] for row in rows if (row["variant"], row["rate"]) == one] for one in order]
    shown = ["{:.2f}, {:.2f} and {:.2f}".format(*found) for found in losses]
    first, second, third, fourth = shown
    assert f"with `variance` to {first}, and {second}; as published to {third}, and {fourth}." in said
    (alike,) = {f"{row['alike']:.1f}" for row in rows}
    after = sorted(row["alike_after"] for row in rows)
    assert f"(mean cosine {alike}) and become more so ({after[0]:.2f} to {after[-1]:.2f})" in said


def test_training_tells_what_objectives_reach() -> None:
    rows = record("2026-11-27_objectives")["rows"]

    def accuracy(row: dict[str, Any], name: str) -> str:
        return f"{100 * row[name]:.1f} ± {100 * row[f'{name}_std']:.1f}"

    shown = [[accuracy(row, "at_once"), accuracy(row, "after"), f"{100 * row['random']:.1f}"] for row in rows]
    assert [cells[1:] for cells in table("docs/training.md", "objective")[1:]] == shown
    plain, *others = ([one["adapted_accuracy"] for one in row["runs"]] for row in rows[1:])
    for found in others:
        assert sum(ours > theirs for ours, theirs in zip(found, plain, strict=True)) == 2
    gains = [f"{100 * (row['after'] - rows[1]['after']):.1f}" for row in rows[2:]]
    assert f"by {gains[0]} and {gains[1]} points in the mean" in " ".join(text("docs/training.md").split())


def test_models_tells_what_predictions_at_once_are_worth() -> None:
    rows = record("2026-11-27_predict_many")["rows"]
    known = sorted(f"{row['ratio']:.1f}" for row in rows if not row["traced"])
    said = " ".join(text("docs/models.md").split())
    assert f"at once {known[0]} to {known[-1]} times as many as one by one from graphs that are there" in said
    assert max(row["ratio"] for row in rows if row["traced"]) < 1.05, (
        "none more where each model has to be traced first"
    )
