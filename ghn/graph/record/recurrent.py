"""What functions tell the recorder that operators do not: recurrent layers as one operation each, constants, and reads.

A tensor's device, its `.data` and its gradient are read and set without an operator: functions too get stand-ins.

Operator by operator an LSTM is a node per gate and time step, thousands of them. As a function of its sequence it is
what its parameters are: per layer and direction an input-to-hidden and a hidden-to-hidden linear map.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from ghn.common.private_torch import is_higher_order, parts_of, storage_address
from ghn.graph.record.higher_order import HIGHER_ORDER
from ghn.graph.record.recorder import Recorder
from ghn.graph.record.trees import tensors_in

RECURRENT = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Functions and the gates that their weights stack."""

CONSTRUCTORS = {"tensor", "as_tensor", "asarray", "new_tensor"}
"""Functions that make a tensor of numbers. Some versions of PyTorch call no operator for it on the meta device."""

SETTERS = {"__set__", "requires_grad_", "retain_grad", "detach_"}
"""Functions that change a tensor without an operator."""


ATTENTION = "scaled_dot_product_attention"
"""The function of attention."""

DIFFERENTIATION = {"grad", "backward"}
"""Functions that differentiate."""

WAITING_FOR_GRADIENTS = {"register_hook", "retain_grad"}
"""Functions of tensors that are differentiated later."""

_ASKS_FOR_GRADIENTS: Any = Tensor.requires_grad
_MEMORY: Any = Tensor.data


ADDRESS = "data_ptr"
"""The function by which models ask whether tensors are the same memory."""

LEAVING = {"numpy", "__array__", "tolist", "item", "__reduce_ex__", "__dlpack__"}
"""Functions that hand a tensor's numbers to code outside PyTorch."""

_NOTICED = {ADDRESS, *LEAVING, *SETTERS, *RECURRENT, *DIFFERENTIATION, *WAITING_FOR_GRADIENTS, *CONSTRUCTORS, ATTENTION}
"""Functions of which more is noticed than their operators."""


class NeedsGradientsError(RuntimeError):
    """A run without gradients reached a function that differentiates."""


class RecordedFunctions(TorchFunctionMode):
    """Context in which the recorder sees what no operator shows.

    These are recurrent functions as wholes, functions run by operators that take functions, what is differentiated by
    what, and constants.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder
        self._higher: dict[type, bool] = {}  # kinds of functions that operators are which take functions

    def _needs_gradients_to_say(self, func: Any, tensor: Tensor) -> bool:
        """Whether a model asks if a tensor that it computes will have a gradient, which only that run tells.

        PyTorch's own code asks, too, and computes the same either way.
        """
        if getattr(func, "__self__", None) is not _ASKS_FOR_GRADIENTS or self.recorder.with_gradients:
            return False
        # Past this function, `_notice` and `__torch_function__`.
        who = str(sys._getframe(3).f_globals.get("__name__"))
        return who.partition(".")[0] != "torch" and self.recorder.is_computed(tensor)

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function."""
        if self.recorder.paused:
            return func(*args, **(kwargs or {}))
        if self.recorder.fitting.asks:
            self.recorder.fitting.notice_casting()
        name = getattr(func, "__name__", "")
        stand_ins = self.recorder.stand_ins
        higher = self._higher.get(type(func))
        if higher is None:
            higher = self._higher[type(func)] = is_higher_order(func)
        plain = name != "__get__" or getattr(func, "__self__", None) is not _ASKS_FOR_GRADIENTS
        if not higher and plain and name not in _NOTICED:
            args = stand_ins.in_place_of(args)
            return stand_ins.original(func(*args, **stand_ins.in_place_of(kwargs)) if kwargs else func(*args))
        return self._notice(name, func, args, kwargs, higher=higher)

    def _notice(
        self, name: str, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, *, higher: bool
    ) -> Any:
        stand_ins = self.recorder.stand_ins
        if name in SETTERS and args and isinstance(args[0], Tensor) and not is_lazy(args[0]):
            self.recorder.protect_object(args[0])
        args, kwargs = stand_ins.in_place_of(args), stand_ins.in_place_of(kwargs or {})
        # With a packed sequence the third argument is the state, not the weights: PyTorch decides the shapes there too.
        if name in RECURRENT and not kwargs:
            return self.recorder.record_whole(name, _shaped(name, func), args)
        if higher and str(func) in HIGHER_ORDER:
            with self:
                return HIGHER_ORDER[str(func)](self.recorder, func, *args, **kwargs)
        if name == ATTENTION and isinstance(args[0], Tensor) and len(parts_of(args[0])) > 1:
            return self._attend_jagged(*args, **kwargs)
        if name in DIFFERENTIATION:
            return self._differentiate(func, args, kwargs)
        if name in LEAVING and isinstance(args[0], Tensor) and self.recorder.is_computed(args[0]):
            self.recorder.graph.leave(self.recorder.read(args[0]))
        if name in WAITING_FOR_GRADIENTS:
            return _with_gradients(lambda: func(*args, **kwargs))
        result = func(*args, **kwargs)
        if name == "__set__" and getattr(func, "__self__", None) is _MEMORY and not is_lazy(args[0]):
            self.recorder.read_moved(args[0])
        if result is False and name == "__get__" and self._needs_gradients_to_say(func, args[0]):
            raise NeedsGradientsError("whether it is differentiated")
        if name == ADDRESS and args[0].is_meta and args[0].numel():
            # Apart by as much as there are bits in an address to spare.
            return (storage_address(args[0]) << 12) + args[0].storage_offset() * args[0].itemsize
        if name in CONSTRUCTORS and isinstance(result, Tensor):
            # What is made of another tensor (or is that one itself) is known or unknown as that is.
            numbers = args[1:] if name == "new_tensor" else args
            if next(tensors_in((numbers, kwargs)), None) is None:
                self.recorder.make(result)
        return stand_ins.original(result)

    def _attend_jagged(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # Where attention is fused, jagged tensors are served on some devices only; its result is shaped like queries.
        results: list[Tensor] = []

        def attend(*_: Tensor) -> Tensor:
            results.append(torch.zeros_like(query))
            return _rows(results[0])

        self.recorder.record_whole(ATTENTION, attend, [_rows(tensor) for tensor in (query, key, value)])
        return results[0]

    def _differentiate(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        outputs = args[0] if args else kwargs.get("outputs")
        inputs = args[1] if len(args) > 1 else kwargs.get("inputs")
        return _with_gradients(
            lambda: self.recorder.differentiate(outputs, inputs or (), lambda: func(*args, **kwargs))
        )


def _with_gradients(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except RuntimeError as error:
        raise NeedsGradientsError(str(error)) from error


def _rows(jagged: Tensor) -> Tensor:
    return next(part for part in parts_of(jagged) if part.is_floating_point())


def _shaped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, or its shapes where no numbers are at hand."""

    def run(*args: Any) -> Any:
        sequence = args[0]
        batched = len(args) == 9 and isinstance(args[2], (list, tuple)) and isinstance(args[4], int)
        if not (sequence.is_meta and batched) or torch.is_grad_enabled():
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
