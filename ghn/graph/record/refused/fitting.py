"""Whether what a model was given fits it, asked operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ghn.common.private_torch import is_fake
from ghn.graph.record.refused.numbers import POINTERS
from ghn.graph.record.refused.types import TYPES

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8)
_AUTOCASTING = ("cuda", "cpu")


class OutOfRangeError(IndexError):
    """A number that was given points past the end of what it points into."""


class Fitting:
    """Whether what operators get during one run fits them.

    Args:
        strict: Whether to ask at all. Inputs that were guessed need not fit.

    Attributes:
        asks: Whether types are asked for.
        guessed: Whether some result was guessed, on which numbers may depend since.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = self.asks = strict
        self.guessed = False

    def notice_casting(self) -> None:
        """Ask no more once a model casts automatically, which leaves tensors without numbers as they are.

        Functions call this: operators do not see it.
        """
        self.asks = not any([torch.is_autocast_enabled(device) for device in _AUTOCASTING])

    def check(self, name: str, args: Sequence[Any]) -> None:
        """Refuse types that an operator refuses; what shapes it refuses, `shapes` says.

        Args:
            name: Operator as `str(func)` gives it.
            args: Its positional arguments.

        Raises:
            RuntimeError: If it would. Types of tensors with numbers are left to PyTorch, which says it better.
        """
        rule = TYPES.get(name) if self.asks else None
        if rule is None or rule(*args):
            return
        tensors = [argument for argument in args if isinstance(argument, Tensor)]
        if any([tensor.is_meta or is_fake(tensor) for tensor in tensors]):
            raise RuntimeError(f"{name} does not take {', '.join([str(tensor.dtype) for tensor in tensors])}")

    def check_numbers(self, name: str, args: Sequence[Any]) -> None:
        """Refuse numbers that an operator refuses, before they meet tensors without numbers.

        Args:
            name: Operator as `str(func)` gives it.
            args: Its positional arguments.

        Raises:
            OutOfRangeError: If it would.
        """
        pointers = POINTERS.get(name) if self._strict and not self.guessed else None
        for index, first, count in pointers(*args) if pointers else ():
            if type(index) is Tensor and not index.is_meta and index.dtype in _INTEGERS and index.numel():
                lowest, highest = (int(bound) for bound in index.aminmax())
                if lowest < first or highest >= count:
                    raise OutOfRangeError(f"{name} is given {lowest} to {highest}, of {count}")
