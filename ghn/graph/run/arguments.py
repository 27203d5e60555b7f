"""The arguments of a forward pass, in whatever form they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ghn.graph.run.containers import holds_data, tensors_anywhere, with_tensors

BATCH = 2
"""Images in a traced batch; batch normalisation refuses a single value per channel in training mode."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Arguments of a forward pass.

    Attributes:
        args: Positional ones.
        kwargs: Those by name.
        guessed: Whether nobody gave them, so that they need not fit.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    guessed: bool = False

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor in the arguments, wherever it stands in them, once."""
        yield from tensors_anywhere((self.args, dict(self.kwargs)))

    @property
    def tell(self) -> bool:
        """Whether they hold texts or numbers that are no tensors."""
        return holds_data((self.args, dict(self.kwargs)))

    def map(self, function: Callable[[Tensor], Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with each tensor replaced, in objects of the same types (see `with_tensors`)."""
        mapped = with_tensors((self.args, dict(self.kwargs)), function)
        return mapped[0], mapped[1]

    def __str__(self) -> str:
        arguments = (*self.args, *self.kwargs.values())
        return ", ".join(_described(tensor) for given in arguments for tensor in tensors_anywhere(given)) or "no inputs"


def _described(tensor: Tensor) -> str:
    # A nested tensor that is not jagged has no shape.
    shape = "(nested)" if tensor.is_nested else str(tuple(tensor.shape))
    return str(tensor.dtype).removeprefix("torch.") + shape


def given_inputs(example_inputs: Any) -> Inputs:
    """Read `example_inputs`: a tensor, a tuple or list of arguments, a dict of keyword arguments, or (args, kwargs)."""
    if isinstance(example_inputs, Inputs):
        return example_inputs
    if isinstance(example_inputs, Tensor):
        return Inputs((example_inputs,))
    if isinstance(example_inputs, Mapping):
        return Inputs((), dict(example_inputs))
    if isinstance(example_inputs, (tuple, list)):
        if len(example_inputs) == 2 and isinstance(example_inputs[0], tuple) and isinstance(example_inputs[1], Mapping):
            return Inputs(tuple(example_inputs[0]), dict(example_inputs[1]))
        return Inputs(tuple(example_inputs))
    raise ValueError(
        f"example_inputs must be a tensor, a tuple of arguments, a dict of keyword arguments or (tuple, dict), "
        f"not {type(example_inputs).__name__}"
    )
