"""Mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "float16"]


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Mixed precision on `device`; nothing for float32."""
    return torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "float32")


def in_float32(module: nn.Module) -> None:
    """Let a module compute in float32 whatever autocast is on around it (changes the module in place)."""
    forward = module.forward

    def run(*inputs: Any, **keywords: Any) -> Any:
        device = next(value.device.type for value in (*inputs, *keywords.values()) if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            return forward(
                *(_to_float32(value) for value in inputs),
                **{name: _to_float32(value) for name, value in keywords.items()},
            )

    module.forward = run  # type: ignore[method-assign]


def _to_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value
