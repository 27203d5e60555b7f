"""What a hypernetwork does not predict of a model, and why."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Literal

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.sharded import describe_placements, is_sharded, local_part, own_range
from ghn.common.tensors import holds_reals, is_allocated, is_opaque, memory, overlaps_itself, without_class
from ghn.graph.computational_graph import ComputationalGraph, ParameterSpec
from ghn.graph.reasons import Reason, ReasonCode
from ghn.hypernet.config import GHNConfig

HeadOption = Literal["keep", "predict"]
"""What happens to a classification head with another number of classes than the hypernetwork's."""


def reasons_to_keep(
    parameters: Mapping[str, nn.Parameter], graph: ComputationalGraph, config: GHNConfig, head: HeadOption
) -> dict[str, Reason]:
    """The parameters of a model that are not predicted, each with the reason, in the model's order.

    Args:
        parameters: The model's, by name.
        graph: Its graph.
        config: The hypernetwork's.
        head: How a head with another number of classes is treated.
    """
    reasons = {name: _reason(name, parameter, graph, config, head) for name, parameter in parameters.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _reason(
    name: str, parameter: nn.Parameter, graph: ComputationalGraph, config: GHNConfig, head: HeadOption
) -> Reason | None:
    if is_lazy(parameter):
        return Reason(ReasonCode.NO_SHAPE)
    spec = graph.parameters.get(name)
    if spec is None:
        return graph.kept.get(name, Reason(ReasonCode.NOT_IN_GRAPH))
    return reason_not_to_write(parameter) or reason_to_keep(spec, config, head)


def reason_not_to_write(tensor: Tensor) -> Reason | None:
    """Why numbers cannot be written to a tensor of its class, type and layout; None if they can.

    Sharded tensors can be written, and tensors on the meta device count by what they will be.
    """
    dtype = without_class(tensor).dtype
    if not holds_reals(dtype):
        return Reason(ReasonCode.DTYPE, dtype=str(dtype).removeprefix("torch."))
    if is_sharded(tensor) and own_range(tensor) is None:
        return Reason(ReasonCode.PLACEMENTS, placements=describe_placements(tensor))
    held = memory(tensor)
    if held is None:
        return _reason_of_class(tensor)
    if overlaps_itself(held):
        return Reason(ReasonCode.OVERLAPPING)
    return None if is_allocated(held) else Reason(ReasonCode.NO_MEMORY)


def _reason_of_class(tensor: Tensor) -> Reason:
    if is_sharded(tensor):
        tensor = local_part(tensor)
    if is_opaque(tensor):
        return Reason(ReasonCode.CLASS, name=type(tensor).__name__)
    plain = without_class(tensor)
    layout = "nested" if plain.is_nested else str(plain.layout).removeprefix("torch.")
    return Reason(ReasonCode.LAYOUT, layout=layout)


def reason_to_keep(spec: ParameterSpec, config: GHNConfig, head: HeadOption) -> Reason | None:
    """Why a parameter that a graph holds is not decoded after all; None if it is."""
    if 0 in spec.shape:
        return Reason(ReasonCode.NO_ELEMENTS)
    if spec.head and head == "keep" and classes_of(spec) != config.num_classes:
        return Reason(ReasonCode.OTHER_HEAD, classes=classes_of(spec), predicted=config.num_classes)
    return None


def classes_of(spec: ParameterSpec) -> int:
    """Number of outputs of a layer: of classes, if it is a head."""
    return prod(spec.canonical_shape[: spec.stack + 1])
