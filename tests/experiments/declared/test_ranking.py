"""Table 13: rank correlations."""

from __future__ import annotations

import itertools

import pytest

from ghn.analysis.published import accuracies
from ghn.experiments.declared.ranking import COLUMNS, EPOCH, TABLE13, groups, methods, rows, tau
from ghn.experiments.methods import RANDOM
from ghn.experiments.protocol import Results, trained, untrained
from ghn.experiments.scales import SMALL
from tests.experiments.results import number, results


def brute_force(x: list[float], y: list[float]) -> float:
    """Without ties."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    return sum(1 if (x[i] - x[j]) * (y[i] - y[j]) > 0 else -1 for i, j in pairs) / len(pairs)


def test_table_13_by_hand() -> None:
    report = TABLE13.report(SMALL, results(TABLE13.stages[0](SMALL, Results())))
    made = {row.name: row for row in report.rows}
    method = methods(SMALL)[1]
    random = next(cell for cell in TABLE13.stages[0](SMALL, Results()) if cell.kind == "finetune")
    assert random.settings["init"] == "default"
    for column, models in enumerate(groups(SMALL)):
        accuracy = [number(trained(SMALL, RANDOM, model, SMALL.epoch)) for model in models]
        score = [number(untrained(SMALL, method, model)) for model in models]
        entry = made[method.name].entries[column]
        assert entry is not None
        assert entry.mean == pytest.approx(brute_force(score, accuracy))
    assert [entry and entry.mean for entry in made[EPOCH].entries[:2]] == pytest.approx([1.0, 1.0])
    assert made["fisher"].entries == [None] * len(COLUMNS)
    assert [each and each.mean for each in made["synflow"].published] == [-0.02, 0.4, 0.24]
    assert made["jacobcov"].published[1] is None


def test_the_last_column_is_of_published_accuracies() -> None:
    found = results(TABLE13.stages[0](SMALL, Results()))
    truth = {model: accuracies("trained")[model] for model in SMALL.models}
    report = TABLE13.report(SMALL, found)
    score = rows(SMALL, found)["gradnorm"]
    expected = brute_force([score[model] for model in truth], list(truth.values()))
    entry = next(row for row in report.rows if row.name == "gradnorm").entries[2]
    assert entry is not None
    assert entry.mean == pytest.approx(expected)


@pytest.mark.parametrize("truth", [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 1.0, "c": 1.0}])
def test_too_few_or_equal_accuracies_have_no_correlation(truth: dict[str, float]) -> None:
    assert tau({"a": 3.0, "b": 1.0, "c": 2.0}, truth) is None
