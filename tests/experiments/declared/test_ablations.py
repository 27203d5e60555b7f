"""Tables 5, 10 and 11: which part each hypernetwork lacks."""

from __future__ import annotations

from statistics import fmean

import pytest

from ghn.experiments.declared.ablations import TABLE5, TABLE11, table5_methods, table10_methods, table11_methods
from ghn.experiments.methods import Method
from ghn.experiments.networks import deepnets_name
from ghn.experiments.protocol import Results, trained, untrained
from ghn.experiments.published import published, rows_of
from ghn.experiments.scales import PAPER, SMALL
from ghn.meta.config import MetaTrainingConfig
from tests.experiments.results import number, results


def config(method: Method) -> MetaTrainingConfig:
    return MetaTrainingConfig.from_dict(method.needs["hypernet"].settings["config"])


@pytest.mark.parametrize("scale", [SMALL, PAPER])
def test_each_row_differs_from_the_first_in_what_its_name_says(scale: object) -> None:
    methods = {method.name: config(method) for method in table5_methods(scale)}  # type: ignore[arg-type]
    assert tuple(methods) == rows_of("table5")
    whole = methods["ghn3-t-m8"]
    assert methods["squared penalty"].penalty_form == "squared"
    assert methods["no penalty"].penalty == 0
    assert methods["no penalty"].hypernet == whole.hypernet
    backward = methods["no backward embedding"].hypernet
    assert (backward.forward_edges, backward.backward_edges) == (True, False)
    edges = methods["no edge embedding"].hypernet
    assert (edges.forward_edges, edges.backward_edges) == (False, False)
    assert methods["no edge embedding, MLP"].hypernet.encoder == "mlp"
    names = [method.name for method in table10_methods(scale)]  # type: ignore[arg-type]
    assert tuple(names) == rows_of("table10")
    last = config(table10_methods(scale)[3])  # type: ignore[arg-type]
    assert (last.penalty, last.weight_decay) == (0.0, 0.3)


def test_the_sizes_are_the_published_ones() -> None:
    for table, methods in (("table5", table5_methods(PAPER)), ("table11", table11_methods(PAPER))):
        for method in methods:
            number_of = published(table, method.name, 0)
            if number_of is not None:
                assert method.parameters == pytest.approx(number_of.mean, rel=0.02), method.name


def test_table_11_by_hand() -> None:
    report = TABLE11.report(SMALL, results(TABLE11.stages[0](SMALL, Results())))
    assert tuple(row.name for row in report.rows) == rows_of("table11")
    random, whole = table11_methods(SMALL)[0], table11_methods(SMALL)[6]
    for place, method in ((0, random), (6, whole)):
        values = [
            100 * number(trained(SMALL, method, name, SMALL.epoch) if method.random else untrained(SMALL, method, name))
            for name in (deepnets_name("deep", index) for index in range(SMALL.splits["deep"]))
        ]
        entry = report.rows[place].entries[3]
        assert entry is not None
        assert entry.mean == pytest.approx(fmean(values))
    assert [each and each.mean for each in report.rows[6].published] == [6.91, 19.0, 20.5, 18.0, 16.9, 6.9, 17.5]


def test_table_5_trains_first_and_then_the_best() -> None:
    first = TABLE5.stages[0](SMALL, Results())
    second = TABLE5.stages[1](SMALL, results(first))
    assert len(second) == len(table5_methods(SMALL)) * SMALL.best
    assert all(cell.needs for cell in second)
