"""Target networks run with predicted parameters: loss, and its gradient with respect to those parameters.

Legend: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
class Objective:
    """What is minimised for each network (eq. 10), and how predicted weights are treated before.

    Attributes:
        penalty: γ.
        squared: Sum of squares instead of norms.
        label_smoothing: Of the cross-entropy.
        inner_steps: k, steps of SGD on the predicted weights, after which the loss counts too.
        inner_rate: Their learning rate.
        inner_share: λ, weight of the loss after them.
        noise: Standard deviation of noise on each predicted tensor, over its root mean square.
    """

    penalty: float = 0.0
    squared: bool = False
    label_smoothing: float = 0.0
    inner_steps: int = 0
    inner_rate: float = 0.05
    inner_share: float = 0.5
    noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """What one target network contributes to a step.

    Attributes:
        loss: Cross-entropy with predicted weights, a scalar on the device.
        accuracy: Share of the images whose class has the highest score, a scalar on the device.
        penalty: Sum of the predicted tensors' norms (or squares), a scalar on the device.
        adapted_loss: Cross-entropy after the inner steps; None without any.
        gradients: Gradient of `scale` (loss + γ penalty), for each predicted tensor in the order given.
        forward_done: Clock reading between the (first) forward and backward pass.
    """

    loss: Tensor
    accuracy: Tensor
    penalty: Tensor
    adapted_loss: Tensor | None
    gradients: list[Tensor]
    forward_done: float


def target_gradients(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    scale: Tensor | float,
    objective: Objective,
    autocasting: Callable[[], AbstractContextManager[Any]],
    clock: Callable[[], float],
) -> TargetResult:
    """Loss of a network with predicted parameters, and its gradient with respect to them (eq. 10).

    With k inner steps the images are split into k + 1 parts. With w₀ the predicted weights (and noise, if any) and
    g_j the gradient of the cross-entropy of part j at w_j, w_{j+1} = w_j - α g_j, and the gradient that counts is
    (1 - λ) g₀ + λ g_k: first-order MAML, which takes the derivative of w_k by w₀ for the identity (Finn et al., ICML
    2017, section 5.2). Noise is taken for a constant, too.

    Args:
        network: A network in training mode that uses no other parameters or buffers; its own are not looked at.
        weights: Predicted parameters by name; they are detached first, so only this network's activations are held.
        images: (B, 3, H, W).
        labels: (B,) int64.
        scale: Factor on loss and penalty in the gradient: 1/m, times the loss scale of float16.
        objective: What is minimised.
        autocasting: Makes the context the network runs in.
        clock: Gives the time in seconds.
    """
    names, clean = list(weights), [weight.detach() for weight in weights.values()]
    current = [_noisy(tensor, objective.noise) for tensor in clean] if objective.noise else clean
    parts = objective.inner_steps + 1
    passes: list[_Pass] = []
    total: list[Tensor] = []
    for part, (shown, wanted) in enumerate(zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True)):
        found = _run(
            network, dict(zip(names, current, strict=True)), shown, wanted, scale, objective, autocasting, clock
        )
        share = 1.0 if parts == 1 else {0: 1 - objective.inner_share, parts - 1: objective.inner_share}.get(part, 0.0)
        if part == 0:
            total = found.gradients if share == 1 else [share * gradient for gradient in found.gradients]
        elif share:
            foreach_add_(total, [share * gradient for gradient in found.gradients])
        if part + 1 < parts:
            rate = objective.inner_rate / scale
            current = [tensor - rate * step for tensor, step in zip(current, found.gradients, strict=True)]
        passes.append(found)
    return TargetResult(
        loss=passes[0].loss,
        accuracy=passes[0].accuracy,
        penalty=_add_penalty(total, clean, scale, objective),
        adapted_loss=passes[-1].loss if parts > 1 else None,
        gradients=total,
        forward_done=passes[0].forward_done,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """One forward and backward pass; gradients are those of the loss times its scale."""

    loss: Tensor
    accuracy: Tensor
    gradients: list[Tensor]
    forward_done: float


def _run(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    images: Tensor,
    labels: Tensor,
    scale: Tensor | float,
    objective: Objective,
    autocasting: Callable[[], AbstractContextManager[Any]],
    clock: Callable[[], float],
) -> _Pass:
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    with autocasting():
        scores_BC = functional_call(network, leaves, (images,))
    if isinstance(scores_BC, tuple):
        scores_BC = scores_BC[0]
    loss = functional.cross_entropy(scores_BC.float(), labels, label_smoothing=objective.label_smoothing)
    forward_done = clock()
    tensors = list(leaves.values())
    gradients = list(torch.autograd.grad(loss * scale, tensors, allow_unused=True, materialize_grads=True))
    with torch.no_grad():
        accuracy = (scores_BC.argmax(dim=1) == labels).float().mean()
    return _Pass(loss=loss.detach(), accuracy=accuracy, gradients=gradients, forward_done=forward_done)


def _noisy(tensor: Tensor, noise: float) -> Tensor:
    return tensor + torch.randn_like(tensor) * (noise * tensor.square().mean().sqrt())


@torch.no_grad()
def _add_penalty(
    gradients: list[Tensor], tensors: Sequence[Tensor], scale: Tensor | float, objective: Objective
) -> Tensor:
    """Add the penalty's gradient in place; returns the penalty, without γ."""
    lengths = torch.stack(foreach_norm(tensors))
    if objective.penalty:
        # d‖w‖/dw = w/‖w‖ and d‖w‖²/dw = 2w.
        divisors = torch.full_like(lengths, 0.5) if objective.squared else lengths.clamp_min(1e-12)
        factors = (objective.penalty * scale / divisors).unbind()
        foreach_add_(gradients, [tensor * factor for tensor, factor in zip(tensors, factors, strict=True)])
    return lengths.square().sum() if objective.squared else lengths.sum()
