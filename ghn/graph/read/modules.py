"""The last rung: a graph from the order of modules, for models that cannot be run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from ghn.common.modules import named_modules
from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.reasons import Reason, ReasonCode


def graph_of_modules(model: nn.Module) -> ComputationalGraph:
    """A chain of the parameters' layers in the order of their definition.

    Weights of two or more dimensions become `conv`, 1-D biases beside them `bias`, 1-D weights `bn` where their module
    keeps running statistics, else `ln`. Everything else is kept.
    """
    nodes = [Node("input")]
    parameters: dict[str, ParameterSpec] = {}
    kept: dict[str, Reason] = {}

    def add(op: str, shape: tuple[int, ...], roles: Mapping[str, tuple[Tensor, Role]]) -> None:
        for name, (tensor, role) in roles.items():
            parameters[name] = ParameterSpec(name=name, node=len(nodes), shape=tuple(tensor.shape), role=role)
        nodes.append(Node(op, tuple(roles), shape))

    seen: set[int] = set()
    for prefix, module in named_modules(model):
        own = {
            name: parameter for name, parameter in module.named_parameters(recurse=False) if id(parameter) not in seen
        }
        seen.update(id(parameter) for parameter in own.values())
        full = {name: f"{prefix}.{name}" if prefix else name for name in own}
        weight, bias = own.get("weight"), own.get("bias")
        if weight is not None and weight.is_floating_point() and not isinstance(module, nn.Embedding):
            has_bias = bias is not None and bias.dim() == 1 and bias.is_floating_point()
            if weight.dim() >= 2:
                add("conv", tuple(weight.shape), {full["weight"]: (weight, Role.WEIGHT)})
                if has_bias and bias is not None:
                    add("bias", tuple(bias.shape), {full["bias"]: (bias, Role.BIAS)})
            elif weight.dim() == 1:
                roles = {full["weight"]: (weight, Role.NORM_WEIGHT)}
                if has_bias and bias is not None:
                    roles[full["bias"]] = (bias, Role.NORM_BIAS)
                add("bn" if hasattr(module, "running_mean") else "ln", tuple(weight.shape), roles)
        kept |= {full[name]: Reason(ReasonCode.NOT_RUN) for name in own if full[name] not in parameters}
    edges = np.array([(i, i + 1) for i in range(len(nodes) - 1)], dtype=np.int64).reshape(-1, 2)
    return ComputationalGraph(tuple(nodes), edges, parameters, kept, traced_by="modules")
