"""Accuracy of predicted networks during a training: held-out networks on held-out images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ghn.evaluate.accuracy import Scores, score_batches
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
        Accuracies (0..1) and losses, one for each network that memory sufficed for; the loss is infinite where it would
        be NaN.
    """
    training = hypernet.training
    hypernet.eval()
    found = [unless_out_of_memory(_scores, hypernet, target, batches) for target in targets]
    hypernet.train(training)
    scored = [scores for scores in found if scores is not None]
    # NaN has no place in an order, and would make any median of the losses.
    losses = [math.inf if math.isnan(scores.loss) else scores.loss for scores in scored]
    return [scores.top1 for scores in scored], losses


def _scores(hypernet: nn.Module, target: Target, batches: Sequence[tuple[Tensor, Tensor]]) -> Scores:
    (weights,) = hypernet([target.graph])
    return score_batches(target.network.eval(), batches, weights=weights)
