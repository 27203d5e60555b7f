"""Every optimiser by its name."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from ghn.training.config import TrainingConfig
from ghn.training.optimizer import OPTIMIZERS, check_optimizer, make_optimizer

CONFIG = TrainingConfig(betas=(0.7, 0.8), momentum=0.6, weight_decay=0.3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_takes_what_the_configuration_says(name: str) -> None:
    # The steps themselves are compared with PyTorch's in test_trainer.py.
    made = make_optimizer([nn.Parameter(torch.ones(2))], replace(CONFIG, optimizer=name))
    group = made.param_groups[0]
    assert group["weight_decay"] == 0.3
    assert group.get("betas", (0.7, 0.8)) == (0.7, 0.8)
    assert group.get("momentum", 0.6) == 0.6
    assert type(made).__name__.lower() == name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_moves_before_a_learning_rate_is_set(name: str) -> None:
    parameter = nn.Parameter(torch.ones(2))
    made = make_optimizer([parameter], replace(CONFIG, optimizer=name))
    parameter.grad = torch.ones(2)
    made.step()
    assert parameter.tolist() == [1, 1]


def test_decoupled_decay_is_what_tells_adamw_from_adam() -> None:
    moved = {}
    for name in ("adamw", "adam"):
        parameter = nn.Parameter(torch.full((1,), 10.0))
        made = make_optimizer([parameter], replace(CONFIG, optimizer=name))
        parameter.grad = torch.zeros(1)
        made.param_groups[0]["lr"] = 0.1
        made.step()
        moved[name] = parameter.item()
    assert moved["adamw"] == pytest.approx(10 * (1 - 0.1 * 0.3))
    # In the gradient its size does not matter to Adam.
    assert moved["adam"] == pytest.approx(10 - 0.1)


def test_any_other_is_timms() -> None:
    pytest.importorskip("timm")
    for name in ("lamb", "lion", "lookahead_lamb"):
        parameter = nn.Parameter(torch.ones(2))
        made = make_optimizer([parameter], replace(CONFIG, optimizer=name))
        assert made.param_groups[0]["weight_decay"] == 0.3
        assert made.param_groups[0]["betas"] == (0.7, 0.8)
        parameter.grad = torch.ones(2)
        made.param_groups[0]["lr"] = 0.0
        made.step()
        assert parameter.tolist() == [1, 1]
    # One that has no betas, and the momentum of the configuration.
    assert make_optimizer([nn.Parameter(torch.ones(2))], replace(CONFIG, optimizer="lars")).param_groups[0][
        "momentum"
    ] == pytest.approx(0.6)


def test_lion_moves_by_the_sign() -> None:
    """Chen et al., Symbolic Discovery of Optimization Algorithms, 2023: w ← w (1 − ηλ) − η sign(g) at first."""
    pytest.importorskip("timm")
    parameter = nn.Parameter(torch.tensor([1.0, 1.0]))
    made = make_optimizer([parameter], replace(CONFIG, optimizer="lion"))
    parameter.grad = torch.tensor([5.0, -1e-3])
    made.param_groups[0]["lr"] = 0.1
    made.step()
    assert parameter.tolist() == pytest.approx([0.97 - 0.1, 0.97 + 0.1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lam", r"unknown optimizer 'lam'; did you mean .*lamb"),
        ("", "unknown optimizer ''; there are adamw, adam, sgd and those of timm"),
        ("lookahead_", "unknown optimizer 'lookahead_'"),
        ("adahessian", "the optimiser adahessian needs second derivatives"),
    ],
)
def test_a_name_that_nobody_has_is_one_line(name: str, message: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=message):
        check_optimizer(name)


def test_without_timm_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"the optimizer 'lamb' needs timm, which is not installed: pip install"):
        check_optimizer("lamb")
    check_optimizer("sgd")
