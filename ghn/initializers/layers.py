"""The weights of a model's layers, found by its computational graph and not by classes of modules.

Legend: O output channels, I input channels, h × w positions of a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ghn.common.modules import named_parameters
from ghn.graph.computational_graph import ComputationalGraph, ParameterSpec, Role
from ghn.graph.trace import trace
from ghn.initializers.report import Batch


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A weight of a layer.

    Attributes:
        name: Of the parameter.
        spec: What the graph says of it.
        weight: Its elements as (stack..., O, I, h, w...), a view of the parameter's memory.
    """

    name: str
    spec: ParameterSpec
    weight: Tensor

    @property
    def matrices(self) -> list[Tensor]:
        """Each weight of the stack, (O, I, h, w...), and of a convolution with groups each group's."""
        if self.spec.stack:
            return list(self.weight.flatten(0, self.spec.stack - 1))
        groups = self.spec.groups
        # A part of a weight that is put together may not have whole groups.
        whole = groups > 1 and len(self.weight) % groups == 0
        return list(self.weight.unflatten(0, (groups, -1))) if whole else [self.weight]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """A model's weights in the order in which data meets them.

    Attributes:
        graph: The model's graph.
        weights: Weights of convolutions and linear layers.
        kept: The other parameters, each with the reason why it is no such weight.
    """

    graph: ComputationalGraph
    weights: tuple[Layer, ...]
    kept: Mapping[str, str]


@torch.no_grad()
def layers_of(model: nn.Module, batches: Sequence[Batch] | None = None) -> Layers:
    """Trace a model, on the first images if there are any.

    Raises:
        TraceError: If it cannot be traced.
    """
    graph = trace(model, batches[0][0][:2] if batches else None)
    parameters = named_parameters(model)
    weights, kept = [], {}
    for name, parameter in parameters.items():
        spec = graph.parameters.get(name)
        if spec is None:
            kept[name] = str(graph.kept.get(name, "it is in no layer"))
        elif spec.role is not Role.WEIGHT:
            kept[name] = {
                Role.BIAS: "a bias",
                Role.NORM_WEIGHT: "a normalisation's weight",
                Role.NORM_BIAS: "a normalisation's bias",
                Role.POSITION: "a position embedding",
            }[spec.role]
        else:
            try:
                weight = parameter.detach().view(spec.view).permute(spec.axes)
            except RuntimeError:
                kept[name] = "its memory cannot be seen as that of a layer's weight"
                continue
            weights.append(Layer(name=name, spec=spec, weight=weight))
    weights.sort(key=lambda layer: layer.spec.node)
    return Layers(graph=graph, weights=tuple(weights), kept=kept)
