"""Accuracy of predicted networks during a training: held-out networks on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ghn.meta.targets import Target
from ghn.training.memory import unless_out_of_memory


@torch.no_grad()
def validate(
    hypernet: nn.Module, targets: Sequence[Target], batches: Sequence[tuple[Tensor, Tensor]]
) -> tuple[list[float], list[float]]:
    """Accuracy and cross-entropy of each network with predicted parameters; batch norms use the batch's statistics.

    Args:
        hypernet: The hypernetwork; its training mode is restored.
        targets: The networks.
        batches: Images (B, 3, H, W) and labels (B,).

    Returns:
        Accuracies (0..1) and losses, one for each network that memory sufficed for; a loss may be infinite.
    """
    training = hypernet.training
    hypernet.eval()
    found = [unless_out_of_memory(_scores, hypernet, target, batches) for target in targets]
    hypernet.train(training)
    labels = torch.cat([labels for _, labels in batches])
    scored = [scores for scores in found if scores is not None]
    accuracies = [float((scores.argmax(dim=1) == labels).float().mean()) for scores in scored]
    return accuracies, [float(functional.cross_entropy(scores, labels)) for scores in scored]


def _scores(hypernet: nn.Module, target: Target, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Scores of one network with predicted parameters for all images, (images, C) float32."""
    (weights,) = hypernet([target.graph])
    target.network.eval()
    return torch.cat([functional_call(target.network, weights, (images,)) for images, _ in batches]).float()
