"""Accuracy of predicted networks during a training: held-out networks on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ghn.train.targets import Target


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
        Accuracies (0..1) and losses, one for each network; a loss may be infinite.
    """
    training = hypernet.training
    hypernet.eval()
    accuracies, losses = [], []
    for target in targets:
        (weights,) = hypernet([target.graph])
        target.network.eval()
        scores = torch.cat([functional_call(target.network, weights, (images,)) for images, _ in batches])
        labels = torch.cat([labels for _, labels in batches])
        accuracies.append(float((scores.argmax(dim=1) == labels).float().mean()))
        losses.append(float(functional.cross_entropy(scores.float(), labels)))
    hypernet.train(training)
    return accuracies, losses
