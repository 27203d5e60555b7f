"""Optimisers by name: those of `OPTIMIZERS`, and any other of timm's factory."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from ghn.common.optional import require
from ghn.common.text import said

Parameters = Sequence[nn.Parameter]


class OptimizerSettings(Protocol):
    """What optimisers read of a `TrainingConfig`."""

    @property
    def optimizer(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...
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


def check_optimizer(name: str) -> None:
    """See that an optimiser can be made.

    Raises:
        ValueError: In one line, for a name that is neither one of `OPTIMIZERS` nor timm's, or where timm is missing.
    """
    if name in OPTIMIZERS:
        return
    known = _timm(name).list_optimizers()
    if _plain(name) in known:
        if _timm(name).get_optimizer_info(_plain(name)).second_order:
            raise ValueError(f"the optimiser {name} needs second derivatives, which no training here computes")
        return
    names = [*OPTIMIZERS, *known]
    near = dict.fromkeys(difflib.get_close_matches(name.lower(), names, n=3))
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(OPTIMIZERS)} and those of timm"
    raise ValueError(f"unknown optimizer {said(name)}; {hint}")


def make_optimizer(parameters: Parameters, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimiser of a run; its learning rate is set before each step.

    Raises:
        ValueError: In one line, if timm cannot make it.
    """
    if settings.optimizer in OPTIMIZERS:
        return OPTIMIZERS[settings.optimizer](parameters, settings)
    check_optimizer(settings.optimizer)
    factory = _timm(settings.optimizer)
    info = factory.get_optimizer_info(_plain(settings.optimizer))
    options: dict[str, Any] = {"betas": settings.betas} if info.has_betas and info.num_betas == 2 else {}
    try:
        made = factory.create_optimizer_v2(
            list(parameters),
            opt=settings.optimizer,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            **options,
        )
    # What an optimiser of some library lacks is its own kind of error.
    except Exception as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"timm cannot make the optimiser {settings.optimizer}: {cause}") from error
    assert isinstance(made, torch.optim.Optimizer)
    return made


def _plain(name: str) -> str:
    """The optimiser inside a `lookahead_`, which timm's factory puts around any."""
    return name.lower().removeprefix("lookahead_")


def _timm(name: str) -> Any:
    require("timm", "vision", f"the optimizer {said(name)}")
    return importlib.import_module("timm.optim")
