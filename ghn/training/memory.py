"""Memory of a training: how much it took, and going on where there was too little."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from ghn.common.memory import is_out_of_memory

__all__ = ["is_out_of_memory", "most_memory_gb", "unless_out_of_memory"]

Given = ParamSpec("Given")
Result = TypeVar("Result")


def unless_out_of_memory(function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result | None:
    """What the function gives, or None where it lacked memory."""
    try:
        return function(*given, **named)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Not above: until it is handled, the error holds all that the function had computed.
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None


def most_memory_gb(device: torch.device) -> float:
    """Most memory used so far in GB: of the device, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
