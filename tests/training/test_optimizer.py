"""Every optimiser by its name."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import nn

from ghn.training.config import TrainingConfig
from ghn.training.optimizer import OPTIMIZERS, Optimizer, make_optimizer

CONFIG = TrainingConfig(betas=(0.7, 0.8), momentum=0.6, weight_decay=0.3)


def test_every_name_has_an_optimizer() -> None:
    assert set(get_args(Optimizer)) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_takes_what_the_configuration_says(name: str) -> None:
    # The steps themselves are compared with PyTorch's in test_trainer.py.
    made = make_optimizer([nn.Parameter(torch.ones(2))], replace(CONFIG, optimizer=name))  # type: ignore[arg-type]
    group = made.param_groups[0]
    assert group["weight_decay"] == 0.3
    assert group.get("betas", (0.7, 0.8)) == (0.7, 0.8)
    assert group.get("momentum", 0.6) == 0.6
    assert type(made).__name__.lower() == name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_moves_before_a_learning_rate_is_set(name: str) -> None:
    parameter = nn.Parameter(torch.ones(2))
    made = make_optimizer([parameter], replace(CONFIG, optimizer=name))  # type: ignore[arg-type]
    parameter.grad = torch.ones(2)
    made.step()
    assert parameter.tolist() == [1, 1]


def test_decoupled_decay_is_what_tells_adamw_from_adam() -> None:
    moved = {}
    for name in ("adamw", "adam"):
        parameter = nn.Parameter(torch.full((1,), 10.0))
        made = make_optimizer([parameter], replace(CONFIG, optimizer=name))  # type: ignore[arg-type]
        parameter.grad = torch.zeros(1)
        made.param_groups[0]["lr"] = 0.1
        made.step()
        moved[name] = parameter.item()
    assert moved["adamw"] == pytest.approx(10 * (1 - 0.1 * 0.3))
    # In the gradient its size does not matter to Adam.
    assert moved["adam"] == pytest.approx(10 - 0.1)
