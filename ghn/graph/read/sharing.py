"""Parameters that are different objects and share memory: only one of those that overlap can be predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.modules import named_parameters
from ghn.common.tensors import end, is_allocated, memory
from ghn.graph.computational_graph import ComputationalGraph, Node
from ghn.graph.reasons import Reason, ReasonCode


def without_overlaps(graph: ComputationalGraph, model: nn.Module) -> ComputationalGraph:
    """The graph with one prediction for each piece of memory.

    Of parameters that overlap (views of one tensor, weights tied through `.data`), the first in the model's order is
    predicted. None is that overlaps a parameter which keeps its own initialisation for a reason (a lookup table).

    Args:
        graph: The traced graph.
        model: The model itself, not a copy.
    """
    reasons: dict[str, Reason] = {}
    for parameters in _sharing(model):
        reasons |= _overlaps(parameters, graph)
    if not reasons:
        return graph
    return ComputationalGraph(
        tuple(
            Node(node.op, tuple(name for name in node.parameters if name not in reasons), node.shape)
            for node in graph.nodes
        ),
        graph.edges,
        {name: spec for name, spec in graph.parameters.items() if name not in reasons},
        {
            name: reasons[name] if name in reasons else graph.kept[name]
            for name in named_parameters(model)
            if name in reasons or name in graph.kept
        },
        graph.traced_by,
    )


def _sharing(model: nn.Module) -> list[dict[str, Tensor]]:
    """Groups of two and more parameters in one piece of memory."""
    storages: list[torch.UntypedStorage] = []  # held, so that their identities stay theirs
    groups: dict[int, dict[str, Tensor]] = {}
    for name, parameter in named_parameters(model).items():
        held = None if is_lazy(parameter) else memory(parameter)
        if held is not None and is_allocated(held):
            storages.append(held.untyped_storage())
            groups.setdefault(id(storages[-1]), {})[name] = held
    return [group for group in groups.values() if len(group) > 1]


def _overlaps(parameters: Mapping[str, Tensor], graph: ComputationalGraph) -> dict[str, Reason]:
    """Why parameters of one piece of memory cannot be predicted, or do not keep what they hold."""
    names = list(parameters)
    kept = [name for name in names if name in graph.kept and graph.kept[name].code is not ReasonCode.UNUSED]
    predicted = [name for name in names if name in graph.parameters]
    unused = [name for name in names if name not in kept and name not in predicted]
    unit = math.gcd(*(tensor.element_size() for tensor in parameters.values()))
    last = max(end(tensor) * tensor.element_size() // unit for tensor in parameters.values())
    owners = torch.full((last,), -1, dtype=torch.int32, device="cpu")
    reasons: dict[str, Reason] = {}
    for name in [*kept, *predicted, *unused]:
        own = _places(parameters[name], owners, unit)
        owner = int(own.max()) if own.numel() else -1
        if owner < 0:
            if name not in unused:
                own.fill_(names.index(name))
        elif name not in kept:
            other = names[owner]
            code = ReasonCode.SHARED_WITH_KEPT if other in kept else ReasonCode.SHARED_WITH_PREDICTED
            reasons[name] = Reason(code, other=other)
    return reasons


def _places(tensor: Tensor, owners: Tensor, unit: int) -> Tensor:
    """The view of `owners`, which has an element for every `unit` bytes of memory, that the tensor's elements take."""
    parts = tensor.element_size() // unit
    strides = tuple(step * parts for step in tensor.stride())
    return owners.as_strided((*tensor.shape, parts), (*strides, 1), int(tensor.storage_offset()) * parts)
