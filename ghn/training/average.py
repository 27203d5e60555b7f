"""Exponential moving average of the weights of a training.

Source: Polyak & Juditsky, SIAM J. Control Optim. 1992; the growing decay as in TensorFlow's ExponentialMovingAverage.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def make_average(module: nn.Module, decay: float) -> AveragedModel:
    """A copy of a module that follows its weights.

    After step n = 1, 2, ... (`update_parameters`) the average becomes d average + (1 - d) weights, where
    d = min(decay, (n - 1) / (n + 8)), so that a short run is not dominated by its first weights.

    Args:
        module: What is trained.
        decay: 0 <= decay < 1; the average spans about 1 / (1 - decay) steps.
    """

    def follow(averages: Any, weights: Any, number: Any) -> None:
        before = int(number)
        get_ema_multi_avg_fn(min(decay, before / (before + 9)))(averages, weights, number)

    return AveragedModel(module, multi_avg_fn=follow)
