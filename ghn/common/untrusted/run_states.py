"""What the saved state of a training must hold to be taken up: PyTorch's own optimisers believe what they are given.

A fused AdamW whose moments are smaller than its parameters writes past their ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.text import shown

COUNTS = ("step", "skipped", "nonfinite_in_a_row", "out_of_memory")

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")
"""What optimisers keep of each parameter, in its shape."""

SCALER = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")


def check_counts(state: Mapping[str, Any]) -> None:
    """See that a run's counts and its time can be such.

    Raises:
        ValueError: In one line: which are not.
    """
    for name in COUNTS:
        if type(state[name]) is not int or not 0 <= state[name] < 1 << 53:
            raise ValueError(f"{name} is no count: {shown(str(state[name]))}")
    if not _is_number(state["elapsed"]) or state["elapsed"] < 0:
        raise ValueError(f"elapsed is no time in seconds: {shown(str(state['elapsed']))}")
    scaler = state["scaler"]
    if scaler and not (set(scaler) == set(SCALER) and all(map(_is_number, scaler.values())) and scaler["scale"] > 0):
        raise ValueError("the scaler of losses is not one")


def check_weights(saved: Mapping[str, Any], module: nn.Module) -> None:
    """See that tensors are those of a module, which would otherwise cast them in silence.

    Raises:
        ValueError: In one line: the first that is not.
    """
    own = module.state_dict()
    for name, value in saved.items():
        if name in own and isinstance(own[name], Tensor):
            _check_like(name, value, own[name])


def check_optimizer_state(saved: Mapping[str, Any], optimizer: torch.optim.Optimizer, updates: int) -> dict[str, Any]:
    """See that an optimiser's state fits the parameters that it has.

    Args:
        saved: As `Optimizer.state_dict` returns it.
        optimizer: The one that goes on.
        updates: How many it made.

    Returns:
        The state; settings that the PyTorch it was saved with did not have are those of the optimiser.

    Raises:
        ValueError: In one line: what does not fit.
    """
    own = optimizer.state_dict()["param_groups"]
    groups, held = saved["param_groups"], saved["state"]
    if len(groups) != len(own) or [group["params"] for group in groups] != [group["params"] for group in own]:
        raise ValueError("the optimizer is of other parameters")
    for group, mine in zip(groups, own, strict=True):
        for name in group.keys() & mine.keys():
            if not _alike(group[name], mine[name]):
                raise ValueError(f"the optimizer's {name} cannot be {shown(str(group[name]))}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    places = dict(zip([index for group in groups for index in group["params"]], parameters, strict=True))
    if not held.keys() <= places.keys():
        raise ValueError("the optimizer keeps something of parameters that there are not")
    for index, kept in held.items():
        for name, value in kept.items():
            if name in MOMENTS and value is not None:
                _check_like(f"{name} of parameter {index}", value, places[index])
            elif name == "step" and not _is_step(value):
                raise ValueError(f"the optimizer's step of parameter {index} is none")
    if isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
        needed = {"step", *MOMENTS[:2]}
        if (updates and not held) or any(not needed <= kept.keys() for kept in held.values()):
            raise ValueError("the optimizer's moments are missing")
    return {**saved, "param_groups": [{**mine, **group} for group, mine in zip(groups, own, strict=True)]}


def _check_like(name: str, value: object, own: Tensor) -> None:
    """Of one shape, dense, and numbers of one kind; in which precision does not matter."""
    if not isinstance(value, Tensor) or value.layout is not own.layout:
        raise ValueError(f"{name} is no dense tensor")
    if value.shape != own.shape:
        raise ValueError(f"{name} has the shape {tuple(value.shape)}, not {tuple(own.shape)}")
    if (value.is_floating_point(), value.is_complex()) != (own.is_floating_point(), own.is_complex()):
        raise ValueError(f"{name} holds {value.dtype} numbers, not {own.dtype}")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_step(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and value.dim() <= 1 and bool(value.isfinite().all()) and float(value) >= 0
    return _is_number(value) and value >= 0  # type: ignore[operator]


def _alike(value: object, own: object) -> bool:
    """Whether a setting is of the kind that the optimiser has; None stands for what PyTorch chooses itself."""
    if own is None or value is None or isinstance(own, bool):
        return value is None or isinstance(value, bool) or (own is None and _is_number(value))
    if isinstance(own, list | tuple):
        return isinstance(value, list | tuple) and len(value) == len(own) and all(map(_alike, value, own))
    return _is_number(value) if _is_number(own) else type(value) is type(own)
