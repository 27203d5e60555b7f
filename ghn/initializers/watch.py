"""See what goes into a weight's operator and what comes out, whatever module it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.modules import named_parameters
from ghn.common.private_torch import OperatorMode
from ghn.graph.record.trees import tensors_in

VIEWS = frozenset(
    {
        "t",
        "transpose",
        "permute",
        "view",
        "_unsafe_view",
        "reshape",
        "unsqueeze",
        "squeeze",
        "expand",
        "select",
        "slice",
    }
    | {"detach", "alias", "split", "split_with_sizes", "unbind", "chunk", "_to_copy", "clone", "contiguous"}
)
"""Operators after which a weight is still the same weight, or a part of it."""


class FoundError(Exception):
    """Ends a forward pass that has shown what was wanted."""


class Watch(OperatorMode):
    """Context in which the first use of each of some weights is seen.

    Args:
        weights: Parameters by name.
        seen: Called with a weight's name, what it was applied to (B, ...), and what came of it; `FoundError` raised
            there ends the forward pass.
    """

    def __init__(self, weights: Mapping[str, Tensor], seen: Callable[[str, Tensor, Tensor], None]) -> None:
        super().__init__()
        self._seen = seen
        # With the tensors, held so that their identities stay theirs.
        self._own: dict[int, tuple[str, Tensor]] = {id(weight): (name, weight) for name, weight in weights.items()}
        self._done: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator."""
        result = func(*args, **(kwargs or {}))
        given = list(tensors_in((args, kwargs or {})))
        names = list(dict.fromkeys(self._own[id(tensor)][0] for tensor in given if id(tensor) in self._own))
        if not names:
            return result
        if len(given) == 1 and func.overloadpacket.__name__ in VIEWS:
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                self._own[id(tensor)] = (names[0], tensor)
            return result
        others = [tensor for tensor in given if id(tensor) not in self._own and tensor.dim() > 1]
        if others and isinstance(result, Tensor):
            for name in names:
                if name not in self._done:
                    self._done.add(name)
                    self._seen(name, max(others, key=Tensor.numel), result)
        return result


@torch.no_grad()
def first_use(model: nn.Module, name: str, images: Tensor) -> tuple[Tensor, Tensor] | None:
    """What a weight is applied to when it is first used, and what comes of it; None if it is not seen.

    Args:
        model: In the mode to run it in.
        name: Of the parameter.
        images: (B, 3, H, W), on the model's device.
    """
    found: list[tuple[Tensor, Tensor]] = []

    def look(_: str, data: Tensor, output: Tensor) -> None:
        found.append((data, output))
        raise FoundError

    watch(model, {name: named_parameters(model)[name]}, look, images)
    return found[0] if found else None


def watch(
    model: nn.Module, weights: Mapping[str, Tensor], seen: Callable[[str, Tensor, Tensor], None], images: Tensor
) -> None:
    """Run a model on images, or as far as `seen` lets it: see `Watch`."""
    with suppress(FoundError), Watch(weights, seen):
        model(images)
