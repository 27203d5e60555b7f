"""Records and tables of an evaluation."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import pytest

from ghn.evaluate import Evaluation, NetworkResult
from tests.evaluate.some import RESULT
from tests.evaluate.test_config import CONFIG


def test_rows_are_those_of_a_population_for_each_group_and_start() -> None:
    results = [replace(RESULT, top1=top1) for top1 in (0.1, 0.3, 0.8)]
    results += [replace(RESULT, split="deep", top1=0.5), replace(RESULT, start="default", top1=0.2)]
    results += [replace(RESULT, kind="model", split="test", top1=0.7), replace(RESULT, top1=math.nan, error="no")]
    test, deep, default, model = Evaluation(config=CONFIG, hypernet={}, networks=tuple(results)).rows()
    assert test == {
        "kind": "split",
        "split": "test",
        "start": "ghn",
        "networks": 3,
        "mean": pytest.approx(40.0),
        # The square root of (30² + 10² + 40²) / 3.
        "std": pytest.approx(29.4392, abs=1e-4),
        "least": pytest.approx(10.0),
        "most": pytest.approx(80.0),
    }
    assert (deep["split"], deep["networks"], deep["mean"], deep["std"]) == ("deep", 1, 50.0, 0.0)
    assert (default["start"], default["mean"], model["kind"], model["mean"]) == ("default", 20.0, "model", 70.0)


def test_a_record_says_all_and_comes_back() -> None:
    record = json.loads(json.dumps(RESULT.to_dict(), allow_nan=False))
    wanted = "start steps data head batch_norm_mode seed versions model top1 top5 loss images seconds"
    assert set(wanted.split()) <= set(record)
    assert (record["model"], record["steps"]) == ("test 0", 0)
    assert NetworkResult.from_dict(record) == RESULT
    assert replace(RESULT, kind="model", split="resnet18").model == "resnet18"


def test_what_is_not_finite_is_null() -> None:
    failed = replace(RESULT, top1=math.nan, loss=math.nan, error="it fails")
    text = json.dumps(failed.to_dict(), allow_nan=False)
    back = NetworkResult.from_dict(json.loads(text))
    assert math.isnan(back.top1)
    assert math.isnan(back.loss)
    assert (back.top5, back.error) == (RESULT.top5, "it fails")


@pytest.mark.parametrize("changes", [{"index": "0"}, {"top1": "0.1"}, {"split": 3}, {"more": 1}])
def test_what_is_no_record(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="it is no record of a network"):
        NetworkResult.from_dict({**RESULT.to_dict(), **changes})
    record = RESULT.to_dict()
    for entry in fields(NetworkResult):
        with pytest.raises(ValueError, match="it is no record of a network"):
            NetworkResult.from_dict({name: value for name, value in record.items() if name != entry.name})


def test_it_prints_rows_and_failures() -> None:
    failed = replace(RESULT, kind="model", split="resnet18", error="it fails")
    evaluation = Evaluation(config=CONFIG, hypernet=None, networks=(RESULT, failed))
    lines = str(evaluation).splitlines()
    assert lines[1].split()[:3] == ["test", "ghn", "1"]
    assert lines[2] == "resnet18 from ghn failed: it fails"
    assert evaluation.failed == (failed,)
    assert (evaluation.to_dict()["planned"], evaluation.to_dict()["finished"]) == (3, 2)
