"""Cells of networks before and after training, and the choice of the best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, given
from ghn.experiments.protocol import Group, Results, present, pretrained, trained, untrained
from ghn.experiments.scales import SMALL

GHN = given("ours", "ghn3-t-cifar10")


def test_settings_of_the_scale_reach_the_cells() -> None:
    cell = trained(SMALL, GHN, "resnet18", 7, 2, batch_size=5)
    assert (cell.kind, cell.seed) == ("finetune", 2)
    training = cell.settings["training"]
    assert (training["steps"], training["batch_size"], training["data"]) == (7, 5, SMALL.data)
    assert training["optimizer"] == "sgd"
    assert untrained(SMALL, GHN, "resnet18").settings["evaluation"] == {
        "data": SMALL.data, "image_size": SMALL.image_size, "images": SMALL.test_images
    }  # fmt: skip


def test_an_epoch_before_is_another_cell_that_is_needed() -> None:
    method = pretrained(SMALL, GHN, "resnet18", 20)
    cell = trained(SMALL, method, "resnet18", 5)
    assert method.name == "ours + 1 epoch"
    assert cell.needs["pretrained"].kind == "pretrain"
    assert cell.needs["pretrained"].settings["init"] == GHN.init


def accuracies(cells: list[Cell], values: list[float | None]) -> Results:
    return Results(
        {"digest": cell.digest, "value": {"top1": value}, "times": {"part": 1.5}}
        for cell, value in zip(cells, values, strict=True)
        if value is not None
    )


def test_the_best_are_chosen_as_the_paper_says() -> None:
    group = Group(name="four", models=("a", "b", "c", "d"))
    scale = replace(SMALL, best=2)
    assert {cell.kind for cell in group.chosen_by(scale, GHN)} == {"evaluate"}
    random = group.chosen_by(scale, RANDOM)
    assert {(cell.kind, cell.settings["training"]["steps"]) for cell in random} == {("finetune", scale.epoch)}
    cells = group.chosen_by(scale, GHN)
    assert group.best(scale, GHN, accuracies(cells, [0.1, 0.4, 0.2, 0.4])) == ["b", "d"]
    assert group.best(scale, GHN, accuracies(cells, [0.4, 0.4, 0.4, 0.1])) == ["a", "b"], "the first of equal ones"
    assert group.best(scale, GHN, accuracies(cells, [None, None, 0.2, None])) == ["c"], "those that failed are none"
    assert group.best(scale, GHN, Results()) == []


def test_results_are_read_in_per_cent() -> None:
    one, two = untrained(SMALL, GHN, "a"), trained(SMALL, GHN, "a", 4)
    results = Results(
        [
            {"digest": one.digest, "value": {"top1": 0.25}, "times": {"part": 1.5}},
            {"digest": two.digest, "value": {"accuracies": [0.1, 0.2, None]}, "times": {}},
        ]
    )
    assert results.accuracy(one) == 25.0
    assert results.accuracy(two) is None
    assert results.accuracy(two, 1) == 20.0
    assert results.time(one, "part") == 1.5
    assert results.time(two, "part") is None
    assert results.value(untrained(SMALL, GHN, "b")) is None
    assert present([1.0, None, 2.0]) == [1.0, 2.0]


def test_an_accuracy_is_a_share() -> None:
    cell = untrained(SMALL, GHN, "a")
    assert accuracies([cell], [0.123]).accuracy(cell) == pytest.approx(12.3)


@pytest.mark.parametrize(
    "times", [None, [], 1, {"part": None}, {"part": "1"}, {"part": float("inf")}, {"part": 10**400}]
)
def test_times_that_are_none_are_not_known(times: object) -> None:
    cell = untrained(SMALL, GHN, "a")
    record = {"digest": cell.digest, "value": {"top1": 0.25}}
    assert Results([{**record, "times": times}]).time(cell, "part") is None
    results = Results([record])
    assert results.time(cell, "part") is None
    assert results.accuracy(cell) == 25.0
