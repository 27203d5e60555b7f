"""See what goes into a weight's operator and what comes out, whatever module it is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Context in which the first use of one weight is seen; the forward pass ends there, by `FoundError`.

    Args:
        weight: The parameter.

    Attributes:
        data: What the weight was applied to, (B, ...).
        output: What came of it.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.data: Tensor | None = None
        self.output: Tensor | None = None
        self._own: dict[int, Tensor] = {id(weight): weight}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator."""
        result = func(*args, **(kwargs or {}))
        given = list(tensors_in((args, kwargs or {})))
        if not any(id(tensor) in self._own for tensor in given):
            return result
        if len(given) == 1 and func.overloadpacket.__name__ in VIEWS:
            # Held, so that their identities stay theirs.
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                self._own[id(tensor)] = tensor
            return result
        others = [tensor for tensor in given if id(tensor) not in self._own and tensor.dim() > 1]
        if others and isinstance(result, Tensor):
            self.data, self.output = max(others, key=Tensor.numel), result
            raise FoundError
        return result


@torch.no_grad()
def first_use(model: nn.Module, name: str, images: Tensor) -> tuple[Tensor, Tensor] | None:
    """What a weight is applied to when it is first used, and what comes of it; None if it is not seen.

    Args:
        model: In the mode to run it in.
        name: Of the parameter.
        images: (B, 3, H, W), on the model's device.
    """
    watch = Watch(named_parameters(model)[name])
    try:
        with watch:
            model(images)
    except FoundError:
        assert watch.data is not None
        assert watch.output is not None
        return watch.data, watch.output
    return None
