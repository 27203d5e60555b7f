"""A cell is an evaluation of one network."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghn.evaluate import EvaluationConfig, evaluate
from ghn.experiments.kinds.evaluate import KIND
from ghn.experiments.networks import deepnets_name
from tests.experiments.kinds.jobs import job
from tests.experiments.tiny import MODEL

pytest.importorskip("sklearn")

EVALUATION = {"data": "digits", "images": 64}


def test_it_is_an_evaluation_by_hand(tmp_path: Path) -> None:
    found = KIND.run(job(tmp_path, {"model": MODEL, "init": "orthogonal", "evaluation": EVALUATION}, seed=2))
    config = EvaluationConfig(
        data="digits", images=64, splits={}, predefined=False, models=(MODEL,), starts=("orthogonal",), seed=2
    )
    (by_hand,) = evaluate(None, config).networks
    assert found.value == {
        "top1": by_hand.top1, "top5": by_hand.top5, "loss": by_hand.loss, "images": 64,
        "parameters": by_hand.parameters, "nodes": by_hand.nodes,
    }  # fmt: skip


def test_networks_of_deepnets_have_names(tmp_path: Path) -> None:
    model = deepnets_name("test", 1)
    found = KIND.run(job(tmp_path, {"model": model, "init": "ghn:ghn3-t-cifar10", "evaluation": EVALUATION}))
    config = EvaluationConfig(
        data="digits", images=64, splits={"test": 2}, predefined=False, starts=("ghn:ghn3-t-cifar10",)
    )
    by_hand = evaluate(None, config).networks[1]
    assert found.value["nodes"] == by_hand.nodes


def test_a_network_that_cannot_be_evaluated_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"torch\.nn\.Module"):
        KIND.run(
            job(
                tmp_path,
                {"model": "tests.experiments.some:adding,count=1", "init": "default", "evaluation": EVALUATION},
            )
        )
