"""Evaluation over splits: what is in it, that it repeats, and that it can tell good parameters from bad ones."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ghn.data import DataError, ImageSet, ImageStream, load
from ghn.deepnets import DeepNets, write_published
from ghn.evaluate import Evaluation, EvaluationConfig, NetworkResult, Scores, evaluate, networks
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


def test_rows_are_those_of_a_population() -> None:
    some = NetworkResult(
        split="test", index=0, top1=0.1, top5=0.2, loss=2.0, images=8, parameters=1, nodes=2, cells=3, megamacs=4.0,
        attention=False, batch_norm=True, seconds=0.1,
    )  # fmt: skip
    results = [replace(some, top1=top1) for top1 in (0.1, 0.3, 0.8)] + [replace(some, split="deep", top1=0.5)]
    test, deep = Evaluation(config=CONFIG, hypernet={}, networks=tuple(results)).rows()
    assert test == {
        "split": "test",
        "networks": 3,
        "mean": pytest.approx(40.0),
        # The square root of (30² + 10² + 40²) / 3.
        "std": pytest.approx(29.4392, abs=1e-4),
        "least": pytest.approx(10.0),
        "most": pytest.approx(80.0),
    }
    assert (deep["split"], deep["networks"], deep["mean"], deep["std"]) == ("deep", 1, 50.0, 0.0)


def test_each_network_sees_images_of_its_own(digits: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def remember(_: object, stream: ImageStream, **__: object) -> Scores:
        seen.append(stream.batch(0)[0])
        return Scores(top1=0.0, top5=0.0, loss=0.0, images=8)

    monkeypatch.setattr(networks, "score", remember)
    hypernet = GHN(HYPERNET)
    for seed in (0, 1, 0):
        evaluate(hypernet, replace(CONFIG, seed=seed), images=digits)
    assert len(seen) == 9
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(seen[:6], 2))
    assert all(torch.equal(one, other) for one, other in zip(seen[:3], seen[6:], strict=True))


@pytest.mark.slow
def test_predefined_networks(digits: ImageSet) -> None:
    config = replace(CONFIG, splits={}, predefined=True)
    resnet, vit = evaluate(GHN(HYPERNET), config, images=digits).networks
    assert (resnet.split, vit.split) == ("resnet50", "vit")
    assert (resnet.attention, vit.attention) == (False, True)
    assert resnet.parameters == 23_520_842
