"""From a run's folder to a hypernetwork."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ghn
from ghn.hypernet import GHN, GHNConfig
from ghn.meta import MetaTrainingConfig, Space
from ghn.meta.export import describe_training, export
from ghn.meta.stepper import MetaStepper, meta_trainer
from ghn.training.state import StateError, save_state

CONFIG = MetaTrainingConfig(
    hypernet=GHNConfig(hidden=8, layers=1, heads=2, num_classes=10, max_channels=8, spatial=3),
    space=Space(max_megamacs=30.0, attention=0.25),
)


@pytest.mark.parametrize("half", [False, True])
def test_the_weights_are_those_of_the_state(tmp_path: Path, half: bool) -> None:
    trainer = meta_trainer(CONFIG, GHN(CONFIG.hypernet))
    save_state(tmp_path / "run", trainer.state_dict())
    export(tmp_path / "run", tmp_path / "ghn", half=half, command="ghn train x", training={"hardware": "a toaster"})
    loaded = ghn.from_pretrained(str(tmp_path / "ghn"))
    for name, value in trainer.stepper.module.state_dict().items():
        wanted = value.half().float() if half else value
        assert torch.equal(loaded.state_dict()[name], wanted), name
    card = (tmp_path / "ghn" / "README.md").read_text()
    for part in ("`ghn train x`", "at most 30 million multiply-adds", "25 % of those with attention kept", "a toaster"):
        assert part in card


def test_the_moving_average_is_exported_where_there_is_one(tmp_path: Path) -> None:
    trainer = meta_trainer(replace(CONFIG, average=0.9), GHN(CONFIG.hypernet))
    assert trainer.average is not None
    with torch.no_grad():
        for parameter in trainer.average.module.parameters():
            parameter.add_(1)
    save_state(tmp_path / "run", trainer.state_dict())
    export(tmp_path / "run", tmp_path / "ghn", averaged=True)
    loaded = ghn.from_pretrained(str(tmp_path / "ghn"))
    for name, value in loaded.named_parameters():
        assert torch.equal(value, trainer.stepper.module.get_parameter(name) + 1), name
    save_state(tmp_path / "run", meta_trainer(CONFIG, GHN(CONFIG.hypernet)).state_dict())
    with pytest.raises(StateError, match="keeps no average of its weights"):
        export(tmp_path / "run", tmp_path / "other", averaged=True)


def test_the_best_weights_are_exported_where_they_are_kept(tmp_path: Path) -> None:
    config = replace(CONFIG, select_by="accuracy", validate_every=1)
    trainer = meta_trainer(config, GHN(config.hypernet))
    stepper = trainer.stepper
    assert isinstance(stepper, MetaStepper)
    save_state(tmp_path / "run", trainer.state_dict())
    with pytest.raises(StateError, match="keeps no best weights yet"):
        export(tmp_path / "run", tmp_path / "ghn", best=True)
    wanted = {name: value.clone() for name, value in stepper.module.state_dict().items()}
    assert stepper.consider(0.5, 7)
    with torch.no_grad():
        for parameter in stepper.module.parameters():
            parameter.add_(1)
    assert not stepper.consider(0.5, 8)
    assert not stepper.consider(float("nan"), 9)
    save_state(tmp_path / "run", trainer.state_dict())
    export(tmp_path / "run", tmp_path / "ghn", best=True)
    loaded = ghn.from_pretrained(str(tmp_path / "ghn"))
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())
    assert "7 from fresh weights" in (tmp_path / "ghn" / "README.md").read_text()


def test_objectives_are_described() -> None:
    state = {"step": 1, "elapsed": 0.0, "skipped": 0, "out_of_memory": 0}
    assert describe_training(CONFIG, state, None)["objective"] == "cross-entropy"
    config = replace(CONFIG, inner_steps=2, inner_share=0.25, weight_noise=0.1, initialization="variance")
    found = describe_training(config, state, None)
    assert found["objective"] == (
        "0.75 × cross-entropy + 0.25 × that after 2 steps of SGD at rate 0.05 (first order), "
        "noise of 0.1 × each tensor's root mean square"
    )
    assert "from fresh weights, initial scale by variance" in found["steps"]


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"there is no state of a run in .*; train one first with ghn train"):
        export(tmp_path, tmp_path / "ghn")


def test_a_training_without_clipping_is_described() -> None:
    state = {"step": 1, "elapsed": 60.0, "skipped": 0, "out_of_memory": 0}
    assert describe_training(replace(CONFIG, clip=0.5), state, None)["optimiser"].endswith("gradient norm at most 0.5")
    assert describe_training(replace(CONFIG, clip=None), state, None)["optimiser"].endswith("weight decay 0.01")


WRONG: dict[str, dict[str, Any]] = {
    "configuration of text": {"config": "x"},
    "configuration of another kind": {"config": {"colour": 1}},
    "weights of another network": {"hypernet": {"a": torch.ones(1)}},
    "weights of text": {"hypernet": "x"},
    "steps of text": {"step": "many"},
    "time of text": {"elapsed": [1]},
}


@pytest.mark.parametrize("case", [*WRONG, "skipped", "out_of_memory"])
def test_a_readable_state_of_something_else(case: str, tmp_path: Path) -> None:
    state = meta_trainer(CONFIG, GHN(CONFIG.hypernet)).state_dict()
    if case in WRONG:
        state |= WRONG[case]
    else:
        del state[case]
    save_state(tmp_path / "run", state)
    with pytest.raises(StateError) as caught:
        export(tmp_path / "run", tmp_path / "ghn")
    assert str(caught.value).isprintable()
    assert not (tmp_path / "ghn").exists()
