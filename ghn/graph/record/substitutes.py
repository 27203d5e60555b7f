"""What is run in an operator's place, and facts about operators that decide it.

So a record neither depends on the state of the process nor changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.private_torch import arguments_of, attention_by_parts, is_composite, is_view

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


class OperatorFacts:
    """What is asked of each operator again and again, looked up once for a record."""

    def __init__(self) -> None:
        self._names: dict[Any, tuple[str, str, bool]] = {}
        self._composite: dict[Any, bool] = {}
        self._views: dict[Any, bool] = {}

    def names(self, func: Any) -> tuple[str, str, bool]:
        """An operator's full name, the one that `Operation` gives it, and whether it draws random numbers."""
        names = self._names.get(func)
        if names is None:
            full = str(func)
            names = self._names[func] = full, _operator_name(full), draws(func)
        return names

    def is_composite(self, func: Any) -> bool:
        """Whether an operator consists of others, on any device."""
        composite = self._composite.get(func)
        if composite is None:
            composite = self._composite[func] = is_composite(func)
        return composite

    def is_view(self, func: Any) -> bool:
        """Whether an operator's results lie in the memory of its argument."""
        views = self._views.get(func)
        if views is None:
            views = self._views[func] = is_view(func)
        return views


def _operator_name(full: str) -> str:
    namespace, _, name = full.rpartition(".")[0].partition(".") if full.count(".") > 1 else full.rpartition(".")
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return name if namespace == "aten" else f"{namespace}.{name}"


def on_cpu(tensors: Sequence[Tensor], kwargs: Mapping[str, Any]) -> bool:
    """Whether an operator has numbers to compute with, those of the CPU."""
    device = kwargs.get("device")
    return all([type(tensor) in (Tensor, nn.Parameter) and tensor.is_cpu for tensor in tensors]) and (
        device is None or torch.device(device).type == "cpu"
    )


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
