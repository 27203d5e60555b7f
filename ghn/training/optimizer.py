"""Optimisers by name; another one is a name in `Optimizer` and an entry in `OPTIMIZERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import nn

Optimizer = Literal["adamw", "adam", "sgd"]
Parameters = Sequence[nn.Parameter]


class OptimizerSettings(Protocol):
    """What optimisers read of a `TrainingConfig`."""

    @property
    def optimizer(self) -> Optimizer: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def betas(self) -> tuple[float, float]: ...
    @property
    def momentum(self) -> float: ...


def _adamw(parameters: Parameters, settings: OptimizerSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.0, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)


def _adam(parameters: Parameters, settings: OptimizerSettings) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.0, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)


def _sgd(parameters: Parameters, settings: OptimizerSettings) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.0, momentum=settings.momentum, weight_decay=settings.weight_decay)


OPTIMIZERS: Mapping[str, Callable[[Parameters, OptimizerSettings], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
}


def make_optimizer(parameters: Parameters, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimiser of a run; its learning rate is set before each step."""
    return OPTIMIZERS[settings.optimizer](parameters, settings)
