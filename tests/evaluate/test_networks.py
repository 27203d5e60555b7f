"""Evaluation over splits: what is in it, that it repeats, and that it can tell good parameters from bad ones."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from ghn.data import DataError, ImageSet, load
from ghn.deepnets import DeepNets, write_published
from ghn.evaluate import EvaluationConfig, NetworkResult, evaluate
from ghn.hypernet import GHN, GHNConfig

HYPERNET = GHNConfig(hidden=8, layers=1, heads=2, num_classes=10, max_channels=8, spatial=3)
CONFIG = EvaluationConfig(data="digits", splits={"test": 2, "bnfree": 1}, predefined=False, images=8)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits", split="test").subset(range(16))


def test_every_network_is_there_and_results_repeat(digits: ImageSet) -> None:
    seen: list[NetworkResult] = []
    hypernet = GHN(HYPERNET)
    evaluation = evaluate(hypernet, CONFIG, images=digits, progress=seen.append)
    assert [(result.split, result.index) for result in evaluation.networks] == [("test", 0), ("test", 1), ("bnfree", 0)]
    assert list(evaluation.networks) == seen
    assert [result.batch_norm for result in seen[2:]] == [False]
    again = evaluate(hypernet, CONFIG, images=digits)
    assert [replace(result, seconds=0.0) for result in again.networks] == [
        replace(result, seconds=0.0) for result in seen
    ]
    row = evaluation.rows()[0]
    accuracies = [100 * result.top1 for result in seen[:2]]
    assert (row["mean"], row["std"]) == (statistics.fmean(accuracies), statistics.pstdev(accuracies))
    assert json.loads(json.dumps(evaluation.to_dict()))["summary"][1]["split"] == "bnfree"
    assert str(evaluation).splitlines()[1].split()[:2] == ["test", "2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"tests": 1}}, "unknown split 'tests'; there are train, val, test"),
        ({"splits": {"wide": 101}}, r"wide has 1\.\.100 networks to evaluate, not 101"),
        ({"images": 1}, r"images must be at least 2 \(batch norms need them\), not 1; leave it out for all"),
        ({"splits": {}}, "no network to evaluate: ask for some of a split, or for the predefined ones"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def test_networks_of_a_published_file(digits: ImageSet, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    drawn = DeepNets("test")
    _, metadata = write_published(tmp_path, "mine", {"test": [drawn.arguments(1)]})
    config = replace(CONFIG, splits={"test": 1}, metadata=str(metadata))
    hypernet = GHN(HYPERNET)
    (result,) = evaluate(hypernet, config, images=digits).networks
    assert result.parameters == evaluate(hypernet, CONFIG, images=digits).networks[1].parameters
    with pytest.raises(ValueError, match=r"mine_meta\.json has 1 networks of test, not 2; ask for fewer"):
        evaluate(hypernet, replace(config, splits={"test": 2}), images=digits)


def test_every_test_image_counts() -> None:
    digits = load("digits", split="test")
    config = replace(CONFIG, splits={"test": 1}, images=None)
    (result,) = evaluate(GHN(HYPERNET), config, images=digits.subset(range(150))).networks
    assert result.images == 150
    (result,) = evaluate(GHN(HYPERNET), replace(config, images=100), images=digits).networks
    assert result.images == 100


def test_classes_must_agree(digits: ImageSet) -> None:
    with pytest.raises(ValueError, match="digits has 10 classes, the hypernetwork predicts 7; take another data set"):
        evaluate(GHN(replace(HYPERNET, num_classes=7)), CONFIG, images=digits)


def test_missing_images_say_what_to_fetch(tmp_path: object) -> None:
    with pytest.raises(DataError, match="no cifar10 in"):
        evaluate(GHN(HYPERNET), replace(CONFIG, data="cifar10", data_root=str(tmp_path)))


@pytest.mark.slow
def test_predefined_networks(digits: ImageSet) -> None:
    config = replace(CONFIG, splits={}, predefined=True)
    resnet, vit = evaluate(GHN(HYPERNET), config, images=digits).networks
    assert (resnet.split, vit.split) == ("resnet50", "vit")
    assert (resnet.attention, vit.attention) == (False, True)
    assert resnet.parameters == 23_520_842
