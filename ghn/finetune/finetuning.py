"""Training of a single network from given parameters, predicted or random, for a short time.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3): SGD with the best of several learning rates, from parameters to
which a little noise is added, as tiled copies of a kernel would otherwise stay equal.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

from ghn.data import ImageStream
from ghn.data.image_folder import ImageFolderStream
from ghn.training.precision import autocast

LEARNING_RATES = (0.4, 0.1, 0.04, 0.01, 0.001)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How a network is trained.

    Attributes:
        epochs: Passes over the training images; parts of one are allowed.
        learning_rates: Each is tried from the same start; the best on held-out images is kept.
        momentum: Of SGD.
        weight_decay: Of SGD.
        schedule: `cosine` lets the learning rate fall to zero over the training, `constant` leaves it.
        clip: Largest Euclidean norm of the gradient; None for no limit.
        noise: β, standard deviation of what is added to every parameter before the training.
        precision: float32, bfloat16 or float16 (without loss scaling).
        seed: Governs noise and dropout.
    """

    epochs: float = 1.0
    learning_rates: tuple[float, ...] = LEARNING_RATES
    momentum: float = 0.9
    weight_decay: float = 3e-5
    schedule: str = "cosine"
    clip: float | None = 5.0
    noise: float = 1e-5
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.epochs > 0:
            raise ValueError(f"epochs must be positive, not {self.epochs}")
        if not self.learning_rates or not all(rate > 0 for rate in self.learning_rates):
            raise ValueError(f"learning_rates must be positive, and at least one, not {self.learning_rates}")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be cosine or constant, not {self.schedule!r}")
        if self.noise < 0:
            raise ValueError(f"noise must not be negative, not {self.noise}")


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """What came of it.

    Attributes:
        learning_rate: The best one.
        steps: Steps made with it.
        score: What `judge` gave for it.
        losses: Its training loss at each step.
        scores: What `judge` gave for each learning rate; −inf where the training diverged.
    """

    learning_rate: float
    steps: int
    score: float
    losses: list[float] = field(repr=False)
    scores: dict[float, float]


@torch.no_grad()
def add_noise(network: nn.Module, beta: float, *, seed: int = 0) -> None:
    """Add N(0, β²) to all floating-point parameters, in place; the process's random state is not touched."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if parameter.is_floating_point():
            drawn = torch.randn(parameter.shape, generator=generator, device="cpu")
            parameter.add_(drawn.to(parameter), alpha=beta)


def finetune(
    network: nn.Module,
    stream: ImageStream | ImageFolderStream,
    judge: Callable[[nn.Module], float],
    config: FinetuneConfig,
) -> FinetuneResult:
    """Train `network` in place with the best of the learning rates.

    Args:
        network: With the parameters to start from; left with the best parameters found, in training mode.
        stream: Training images.
        judge: Gives the quality of a trained network, higher is better, e.g. its accuracy on held-out images.
        config: How to train.

    Raises:
        ValueError: When the training diverged with every learning rate.
    """
    if config.noise:
        add_noise(network, config.noise, seed=config.seed)
    start = copy.deepcopy(network.state_dict())
    scores: dict[float, float] = {}
    best: FinetuneResult | None = None
    best_state = start
    for rate in config.learning_rates:
        network.load_state_dict(start)
        losses = _train(network, stream, rate, config)
        scores[rate] = judge(network) if math.isfinite(losses[-1]) else -math.inf
        if math.isfinite(scores[rate]) and (best is None or scores[rate] > best.score):
            best = FinetuneResult(
                learning_rate=rate, steps=len(losses), score=scores[rate], losses=losses, scores=scores
            )
            best_state = copy.deepcopy(network.state_dict())
    if best is None:
        raise ValueError(f"the training diverged with every learning rate of {config.learning_rates}; try lower ones")
    network.load_state_dict(best_state)
    network.train()
    return best


def _train(
    network: nn.Module, stream: ImageStream | ImageFolderStream, rate: float, config: FinetuneConfig
) -> list[float]:
    """Loss of each step; the last one is not finite where the training was given up."""
    network.train()
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=rate, momentum=config.momentum, weight_decay=config.weight_decay)
    steps = max(1, round(config.epochs * stream.batches_per_epoch))
    device = parameters[0].device
    losses = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        for step in range(steps):
            images, labels = stream.batch(step)
            images = images.contiguous(memory_format=torch.channels_last)
            if config.schedule == "cosine":
                optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            with autocast(device, config.precision):
                scores = network(images)
            if isinstance(scores, tuple):
                scores = scores[0]
            loss = functional.cross_entropy(scores.float(), labels)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                break
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.clip is not None:
                nn.utils.clip_grad_norm_(parameters, config.clip)
            optimizer.step()
    return losses
