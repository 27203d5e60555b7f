"""Accuracies from files and trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ghn.analysis.accuracies import read_accuracies, trained_accuracies
from ghn.analysis.config import AnalysisConfig
from ghn.analysis.networks import Networks
from tests.analysis.networks import SMALL, WIDER


def networks(**settings: object) -> Networks:
    given = {"models": (SMALL, WIDER), "images": 6, **settings}
    return Networks(AnalysisConfig(**given))  # type: ignore[arg-type]


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
        ("a.csv", "model,a\nx,nan\ny,inf\n", "", "holds no accuracies"),
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
