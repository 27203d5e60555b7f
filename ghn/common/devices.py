"""Which device to compute on, by name."""

from __future__ import annotations

import re

import torch


def chosen_device(name: str | None = None, called: str = "device") -> str:
    """The device of that name, once it is known to be there.

    Args:
        name: cpu, cuda or cuda:N; None for cuda where there is any, else cpu.
        called: What the message calls it.

    Raises:
        ValueError: In one line, if it is none of these, or PyTorch does not find it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return "cuda" if count else "cpu"
    parts = re.fullmatch(r"cpu|cuda(?::([0-9]+))?", name)
    if parts is None:
        raise ValueError(f"{called} must be cpu, cuda or cuda:N, not {name!r}")
    if name != "cpu" and int(parts[1] or 0) >= count:
        there = f"PyTorch finds only cuda:0 to cuda:{count - 1}" if count > 1 else "PyTorch finds only cuda:0"
        raise ValueError(
            f"{called} {name}: {there if count else 'PyTorch finds no CUDA device'}; choose another, or cpu"
        )
    return name
