"""Target networks run with predicted parameters: loss, and its gradient with respect to those parameters.

Legend: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ghn.common.private_torch import foreach_add_, foreach_norm
from ghn.graph import ComputationalGraph
from ghn.training.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A network to predict parameters for.

    Attributes:
        network: On the meta device, in training mode; it uses no parameters or buffers but the predicted ones.
        graph: Its computational graph.
        precision: Its arithmetic.
    """

    network: nn.Module
    graph: ComputationalGraph
    precision: Precision = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """What one target network contributes to a step.

    Attributes:
        loss: Cross-entropy, a scalar on the device.
        accuracy: Share of the images whose class has the highest score, a scalar on the device.
        penalty: Sum of the predicted tensors' norms (or squares), a scalar on the device.
        gradients: Gradient of `scale` (loss + γ penalty), for each predicted tensor in the order given.
        forward_done: Clock reading between forward and backward pass.
    """

    loss: Tensor
    accuracy: Tensor
    penalty: Tensor
    gradients: list[Tensor]
    forward_done: float


def target_gradients(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    scale: Tensor | float,
    penalty: float,
    squared: bool,
    label_smoothing: float,
    autocasting: AbstractContextManager[Any],
    clock: Callable[[], float],
) -> TargetResult:
    """Loss of a network with predicted parameters, and its gradient with respect to them (eq. 10).

    Args:
        network: A network in training mode that uses no other parameters or buffers; its own are not looked at.
        weights: Predicted parameters by name; they are detached first, so only this network's activations are held.
        images: (B, 3, H, W).
        labels: (B,) int64.
        scale: Factor on loss and penalty in the gradient: 1/m, times the loss scale of float16.
        penalty: γ.
        squared: Sum of squares instead of norms.
        label_smoothing: Of the cross-entropy.
        autocasting: Context the network runs in.
        clock: Gives the time in seconds.
    """
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    with autocasting:
        scores_BC = functional_call(network, leaves, (images,))
    if isinstance(scores_BC, tuple):
        scores_BC = scores_BC[0]
    loss = functional.cross_entropy(scores_BC.float(), labels, label_smoothing=label_smoothing)
    forward_done = clock()
    tensors = list(leaves.values())
    gradients = list(torch.autograd.grad(loss * scale, tensors, allow_unused=True, materialize_grads=True))
    with torch.no_grad():
        norms = foreach_norm(tensors)
        lengths = torch.stack(norms)
        if penalty:
            # d‖w‖/dw = w/‖w‖ and d‖w‖²/dw = 2w.
            divisors = torch.full_like(lengths, 0.5) if squared else lengths.clamp_min(1e-12)
            factors = (penalty * scale / divisors).unbind()
            foreach_add_(gradients, [tensor * factor for tensor, factor in zip(tensors, factors, strict=True)])
        total = lengths.square().sum() if squared else lengths.sum()
        accuracy = (scores_BC.argmax(dim=1) == labels).float().mean()
    return TargetResult(
        loss=loss.detach(), accuracy=accuracy, penalty=total, gradients=gradients, forward_done=forward_done
    )
