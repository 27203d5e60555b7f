"""A cell is the fine-tuning that a user would start by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ghn.experiments.kinds.finetune import KEEPING, KIND, WEIGHTS
from ghn.finetuning import FinetuneConfig, finetune
from tests.experiments.kinds.jobs import job
from tests.experiments.tiny import MODEL, make

pytest.importorskip("sklearn")

TRAINING = {
    "data": "digits", "steps": 4, "batch_size": 16, "few_shot": 64, "hold_out": 32, "test_images": 50,
    "validate_every": 2, "learning_rates": [0.1, 0.01],
}  # fmt: skip

SETTINGS = {"model": MODEL, "init": "default", "training": TRAINING}


def test_it_is_a_fine_tuning_by_hand(tmp_path: Path) -> None:
    found = KEEPING.run(job(tmp_path, SETTINGS, seed=3))
    torch.manual_seed(3)
    model = make()
    by_hand = finetune(model, config=FinetuneConfig.from_dict({**TRAINING, "seed": 3, "init": "default"}))
    assert found.value["steps"] == [0, 2, 4]
    assert found.value["accuracies"] == [point.accuracy for point in by_hand.history]
    assert found.value["learning_rate"] == by_hand.learning_rate
    assert found.value["scores"] == {f"{rate:g}": score for rate, score in by_hand.scores.items()}
    assert set(found.times) == {"initialisation", "step"}
    # What is kept is the trained network.
    kept = load_file(tmp_path / "output" / WEIGHTS)
    for name, value in model.state_dict().items():
        assert torch.equal(kept[name], value), name


def test_a_kept_network_is_the_start_of_another_training(tmp_path: Path) -> None:
    KEEPING.run(job(tmp_path / "a", SETTINGS))
    settings = {**SETTINGS, "init": "checkpoint:{pretrained}/network.safetensors"}
    found = KIND.run(job(tmp_path / "b", settings, needs={"pretrained": tmp_path / "a" / "output"}))
    torch.manual_seed(0)
    model = make()
    model.load_state_dict(load_file(tmp_path / "a" / "output" / WEIGHTS))
    by_hand = finetune(model, config=FinetuneConfig.from_dict(TRAINING))
    assert found.value["accuracies"] == [point.accuracy for point in by_hand.history]


def test_a_start_that_cannot_be_is_an_error_of_this_cell(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"finite|diverge"):
        KIND.run(job(tmp_path, {**SETTINGS, "init": "default+noise:1e38"}))
    with pytest.raises(ValueError, match="no field 'nonsense'"):
        KIND.run(job(tmp_path, {**SETTINGS, "training": {**TRAINING, "nonsense": 1}}))
    with pytest.raises(ValueError, match=r"names \{other\}, and the cell needs nothing"):
        KIND.run(job(tmp_path, {**SETTINGS, "init": "ghn:{other}"}))
