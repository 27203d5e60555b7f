"""What functions tell the recorder that operators do not: recurrent layers as one operation each, and constants.

Operator by operator an LSTM is a node per gate and time step, thousands of them. As a function of its sequence it is
what its parameters are: per layer and direction an input-to-hidden and a hidden-to-hidden linear map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ghn.graph.record.recorder import Recorder
from ghn.graph.record.trees import tensors_in

RECURRENT = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Functions and the gates that their weights stack."""

CONSTRUCTORS = {"tensor", "as_tensor", "asarray", "new_tensor"}
"""Functions that make a tensor of numbers. Some versions of PyTorch call no operator for it on the meta device."""


class RecordedFunctions(TorchFunctionMode):
    """Context in which the recorder sees what no operator shows: recurrent functions as wholes, and constants."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function."""
        name = getattr(func, "__name__", "")
        # With a packed sequence the third argument is the state, not the weights: PyTorch decides the shapes there too.
        if name in RECURRENT and not kwargs:
            return self.recorder.record_whole(name, _shaped(name, func), args)
        result = func(*args, **(kwargs or {}))
        if name in CONSTRUCTORS and isinstance(result, Tensor):
            # What is made of another tensor (or is that one itself) is known or unknown as that is.
            numbers = args[1:] if name == "new_tensor" else args
            if next(tensors_in((numbers, kwargs or {})), None) is None:
                self.recorder.know(result)
        return result


def _shaped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, or its shapes where no numbers are at hand."""

    def run(*args: Any) -> Any:
        sequence = args[0]
        batched = len(args) == 9 and isinstance(args[2], (list, tuple)) and isinstance(args[4], int)
        if not (sequence.is_meta and batched):
            return function(*args)
        state, weights, biases, layers = args[1], args[2], args[3], args[4]
        directions = 2 if args[7] else 1
        first = state[0] if name == "lstm" else state
        per_cell = len(weights) // (layers * directions)
        projected = per_cell > (4 if biases else 2)
        width = weights[per_cell - 1].shape[0] if projected else weights[1].shape[1]
        output = sequence.new_empty(*sequence.shape[:-1], width * directions)
        last = torch.empty_like(first)
        return (output, last, torch.empty_like(state[1])) if name == "lstm" else (output, last)

    return run


def cells(args: Sequence[Any]) -> tuple[Any, list[list[Any]], bool]:
    """The sequence, the parameters of each cell, and whether every second cell runs backwards.

    Args:
        args: Arguments of a recurrent function: (input, state, weights, has_biases, layers, dropout, training,
            bidirectional, batch_first), or (data, batch_sizes, state, weights, ...) for a packed sequence.
    """
    packed = isinstance(args[3], (list, tuple))
    weights, layers, both = args[3 if packed else 2], args[5 if packed else 4], bool(args[8 if packed else 7])
    count = layers * (2 if both else 1)
    size = len(weights) // count
    return args[0], [list(weights[i * size : (i + 1) * size]) for i in range(count)], both
