"""A file's weights into the model that they are of, by name and shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from ghn.checkpoint.errors import CheckpointError
from ghn.common.modules import named_buffers, named_parameters
from ghn.common.tensors import storage_of
from ghn.graph.trace import TraceError, trace

LISTED = 3
"""Names that a message lists."""


def load_weights(
    model: nn.Module, weights: Mapping[str, Tensor], name: str, example_inputs: Any = None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Let a model have these parameters and buffers, all of them but for a head of another number of classes.

    Args:
        model: Changed in place, wholly or not at all.
        weights: Its state by name. The other names of a tensor that has several, and counts of batches, may lack.
        name: Of where they come from, for messages.
        example_inputs: As `trace` takes them.

    Returns:
        Names of the parameters and buffers that were set; names of those that stay, each with the reason.

    Raises:
        CheckpointError: In one line, which names or shapes differ.
    """
    own = {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    kept: dict[str, str] = {}
    others = [key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape]
    if others and own.keys() <= weights.keys():
        head = _head(model, example_inputs)
        classes = {(len(own[key]), len(weights[key])) for key in others if key in head and weights[key].dim()}
        if len(classes) == 1:
            ((here, there),) = classes
            kept = dict.fromkeys(head, f"a classification head of {here} classes; the file's has {there}")
    lacking = _lacking(own, weights)
    foreign = [key for key in weights if key not in own]
    wrong = [f"{key} ({_sizes(weights[key])}, here {_sizes(own[key])})" for key in own if key in {*others} - {*kept}]
    faults = [
        f"{what} {_listed(found)}"
        for what, found in (("it lacks", lacking), ("it holds", foreign), ("other shapes have", wrong))
        if found
    ]
    if faults:
        raise CheckpointError(f"{name} does not hold the weights of this {type(model).__name__}: {'; '.join(faults)}")
    model.load_state_dict({key: value for key, value in weights.items() if key not in kept}, strict=False)
    tensors = {**named_parameters(model), **named_buffers(model)}
    kept |= {key: f"{name} does not hold it" for key in named_buffers(model) if key not in own}
    return tuple(key for key in tensors if key not in kept), kept


def _head(model: nn.Module, example_inputs: Any) -> list[str]:
    """Names of the tensors of the classification head."""
    try:
        return [name for name, spec in trace(model, example_inputs).parameters.items() if spec.head]
    except TraceError:
        return []


def _lacking(own: Mapping[str, Tensor], weights: Collection[str]) -> list[str]:
    """Names of which no weight is there, under whatever name."""
    found = {_place(own[key]) for key in weights if key in own}
    return [
        key
        for key, value in own.items()
        if key not in weights and _place(value) not in found and not key.endswith("num_batches_tracked")
    ]


def _place(tensor: Tensor) -> tuple[Any, ...]:
    storage = storage_of(tensor)
    address = id(tensor) if storage is None or not tensor.numel() else storage.data_ptr()
    return address, tensor.storage_offset(), tuple(tensor.shape)


def _sizes(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _listed(names: Collection[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(list(names)[:LISTED]) + (f" and {more} more" if more > 0 else "")
