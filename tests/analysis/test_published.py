"""What the paper published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ghn.analysis.published import ACCURACIES, accuracies, correlations, distances, models


def test_the_74_classifiers_have_all_accuracies() -> None:
    names = models()
    assert len(names) == len(set(names)) == 74
    for column in ACCURACIES:
        assert set(accuracies(column)) == set(names)
        assert all(0 <= value <= 100 for value in accuracies(column).values())
    assert (
        accuracies("trained")["resnet50"]
        > accuracies("ghn3-xl-1-epoch")["resnet50"]
        > accuracies("1-epoch")["resnet50"]
    )


def test_all_are_models_of_torchvision() -> None:
    known = pytest.importorskip("torchvision").models.list_models()
    assert set(models()) <= set(known)


def test_an_unknown_column_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="nothing was published of '2-epochs'; there are 1-epoch, trained"):
        accuracies("2-epochs")


def test_they_are_those_of_the_results_file(reference: Path) -> None:
    released = json.loads((reference / "paper" / "torchvision_results.json").read_text())["models"]
    names = ("randinit-sgd1ep", "randinit-sota", "ghn2", "ghn3-t", "ghn3", "ghn3-sgd1ep", "ghn3-sgd10ep")
    for column, name in zip(ACCURACIES, names, strict=True):
        assert accuracies(column) == {model: row[name] for model, row in released.items()}
    tables = json.loads((reference / "paper" / "tables.json").read_text())
    for place, column in enumerate(("deepnets 1-epoch", "torchvision 1-epoch", "torchvision trained")):
        assert dict(correlations(column)) == {k: row[place] for k, row in tables["table13"]["rows"].items()}
    for place, shape in enumerate(("64x3x7x7", "256x256x3x3", "1024x?")):
        found = distances(shape, third=place == 2)
        assert dict(found) == {k: row[place] for k, row in tables["table9"]["rows"].items()}
    assert distances("3x3") == {}
