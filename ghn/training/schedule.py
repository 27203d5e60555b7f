"""Learning rate as a function of the share of the run that is done."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["cosine", "steps", "thirds", "constant"]


def learning_rate_factor(progress: float, *, warmup: float, form: Schedule) -> float:
    """Factor on the peak learning rate.

    Args:
        progress: Share of the run that is done, 0..1.
        warmup: Share over which the factor rises linearly from 0.
        form: What follows: `cosine` falls to 0; `steps` divides by ten at 2/3 and again at 5/6,
            `thirds` at 1/3 and again at 2/3; `constant` stays.
    """
    if progress < warmup:
        return progress / warmup
    if form == "constant":
        return 1.0
    if form == "thirds":
        return 1.0 if progress < 1 / 3 else 0.1 if progress < 2 / 3 else 0.01
    if form == "steps":
        return 1.0 if progress < 2 / 3 else 0.1 if progress < 5 / 6 else 0.01
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))
