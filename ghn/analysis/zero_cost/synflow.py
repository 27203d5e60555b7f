"""SynFlow: how much flows through a network whose parameters are all positive.

Source: Tanaka et al., Pruning Neural Networks without Any Data, NeurIPS 2020; summed over a network as by Abdelfattah
et al., ICLR 2021. One input of ones, double precision.

Legend: θ weights of convolutions and linear layers, R the sum of the outputs for |θ| and an input of ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ghn.analysis.zero_cost.network import Network, UndefinedError, differentiated, total
from ghn.common.modules import named_buffers


class _WithoutBatchNorms(TorchFunctionMode):
    """Context in which batch norms give what they are given."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function, or not."""
        if func in (functional.batch_norm, torch.batch_norm):
            return args[0] if args else (kwargs or {})["input"]
        return func(*args, **(kwargs or {}))


def synflow(network: Network) -> float:
    """Σ |∂R/∂θ ⊙ θ|, batch norms left out."""
    return _flow(network, batch_norms=False)


def synflow_bn(network: Network) -> float:
    """Σ |∂R/∂θ ⊙ θ|, batch norms normalising by the one input, as in training."""
    return _flow(network, batch_norms=True)


def _flow(network: Network, *, batch_norms: bool) -> float:
    names = network.weights
    positive = {name: value.detach().double().abs().requires_grad_() for name, value in network.parameters.items()}
    buffers = {
        name: buffer.double() if buffer.is_floating_point() else buffer.clone()
        for name, buffer in named_buffers(network.model).items()
    }
    ones = torch.ones(1, *network.images.shape[1:], dtype=torch.float64, device=network.images.device)
    before = torch.get_default_dtype()
    with network.trained(), nullcontext() if batch_norms else _WithoutBatchNorms():
        torch.set_default_dtype(torch.float64)
        try:
            flow: Tensor = network.outputs(ones, positive, buffers).sum()
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UndefinedError("a batch norm sees one position of its one input; take larger images") from error
        finally:
            torch.set_default_dtype(before)
        weights = [positive[name] for name in names]
        gradients = differentiated(flow, weights)
    return total((weight.detach() * gradient).abs() for weight, gradient in zip(weights, gradients, strict=True))
