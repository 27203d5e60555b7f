"""All scores of a model at once, each with its value or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from ghn.analysis.zero_cost.activations import fisher, jacobcov, naswot
from ghn.analysis.zero_cost.cost import multiply_adds, parameters
from ghn.analysis.zero_cost.gradients import gradnorm, grasp, plain, snip
from ghn.analysis.zero_cost.network import Batch, Network
from ghn.analysis.zero_cost.synflow import synflow, synflow_bn
from ghn.common.memory import is_out_of_memory
from ghn.common.text import one_line

LONGEST_REASON = 200
"""Characters."""

SCORES: Mapping[str, Callable[[Network], float]] = MappingProxyType(
    {
        "gradnorm": gradnorm,
        "snip": snip,
        "fisher": fisher,
        "jacobcov": jacobcov,
        "plain": plain,
        "grasp": grasp,
        "synflow": synflow,
        "synflow-bn": synflow_bn,
        "naswot": naswot,
        "parameters": parameters,
        "multiply-adds": multiply_adds,
    }
)
"""Every score that needs no training, by name."""


@dataclass(frozen=True, slots=True)
class Score:
    """A score of a model.

    Attributes:
        value: NaN where it is undefined.
        reason: Why it is; None where there is a value.
    """

    value: float
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.value:.6g}" if self.reason is None else f"undefined: {self.reason}"


def scores(model: nn.Module, batch: Batch, *, names: Iterable[str] | None = None, seed: int = 0) -> dict[str, float]:
    """Zero-cost scores of a model: how good it may be once it is trained, from one batch of images.

    The model runs as it is trained, but with nothing dropped: batch norms normalise by the batch. It, its gradients,
    buffers and modes and PyTorch's random state stay as they are.

    Args:
        model: Any classifier of images, with numbers.
        batch: Images (B, 3, H, W) and labels (B,) int64.
        names: Which of `SCORES`; all by default.
        seed: Governs what the model draws.

    Returns:
        By name; NaN where a score is undefined, for which `score_table` has the reasons.

    Raises:
        ValueError: For an unknown score, or a model or batch without numbers.
    """
    return {name: score.value for name, score in score_table(model, batch, names=names, seed=seed).items()}


def score_table(
    model: nn.Module, batch: Batch, *, names: Iterable[str] | None = None, seed: int = 0
) -> dict[str, Score]:
    """As `scores`, with the reason where a score is undefined."""
    chosen = checked(SCORES if names is None else names)
    network = Network(model, batch, seed)
    return {name: _score(SCORES[name], network) for name in chosen}


def checked(names: Iterable[str]) -> list[str]:
    """The names, once each.

    Raises:
        ValueError: If there is no such score.
    """
    chosen = list(dict.fromkeys(names))
    unknown = next((name for name in chosen if name not in SCORES), None)
    if unknown is not None:
        raise ValueError(f"unknown score {unknown!r}; there are {', '.join(SCORES)}")
    return chosen


def _score(compute: Callable[[Network], float], network: Network) -> Score:
    try:
        with torch.inference_mode(False):
            value = compute(network)
    except Exception as error:  # whatever a model of others raises
        if is_out_of_memory(error):
            return Score(math.nan, "there is not enough memory; take fewer images")
        reason = one_line(str(error), LONGEST_REASON) or type(error).__name__
        return Score(math.nan, reason if isinstance(error, ValueError) else f"{type(error).__name__}: {reason}")
    if math.isfinite(value):
        return Score(value)
    return Score(math.nan, "it is too large for the numbers of a computer" if math.isinf(value) else "it is NaN")
