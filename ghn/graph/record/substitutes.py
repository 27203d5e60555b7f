"""What is run in an operator's place, so that a record neither depends on the state of the process nor changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ghn.common.private_torch import arguments_of, attention_by_parts

FUSED_ATTENTION = "aten._scaled_dot_product_flash_attention_for_cpu.default"


def unfused_attention(
    query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0, causal: bool = False, **options: Any
) -> tuple[Tensor, Tensor]:
    """The operators that fused attention on the CPU consists of; `attn_mask` and `scale` are its options."""
    mask, scale = options.get("attn_mask"), options.get("scale")
    shared = query.shape[-3] != key.shape[-3]
    output, _ = attention_by_parts(query, key, value, mask, dropout, causal, scale=scale, enable_gqa=shared)
    return output, output.new_empty(output.shape[:-1])


class OwnRandomNumbers:
    """Random numbers that always are the same, and that nobody else in the process misses."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)

    def run(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run an operator that draws numbers on the CPU."""
        if kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        taking = _taking_generator(func)
        if taking is not None:
            return taking(*args, **{**kwargs, "generator": self._generator})
        return self._with_state_of_process(lambda: func(*args, **kwargs))

    def _with_state_of_process(self, run: Callable[[], Any]) -> Any:
        # Few operators take no generator. For as long as one of them runs, the process has this one's state.
        before = torch.default_generator.get_state()
        torch.default_generator.set_state(self._generator.get_state())
        try:
            return run()
        finally:
            self._generator.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(before)


def draws(func: Any) -> bool:
    """Whether an operator draws random numbers."""
    return torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())


def _taking_generator(func: Any) -> Any:
    """The operator, or its overload with the same arguments and a generator; None if there is none."""
    if _has_generator(func):
        return func
    own = str(func).rpartition(".")[2]
    name = "generator" if own == "default" else f"{own}_generator"
    return getattr(func.overloadpacket, name) if name in func.overloadpacket.overloads() else None


def _has_generator(func: Any) -> bool:
    return any(argument.name == "generator" for argument in arguments_of(func))
