"""Training of a single network from given parameters, predicted or random, with the best of several learning rates.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3).
"""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.files import remove_partial, write_text
from ghn.data import ImageStream
from ghn.data.image_folder import ImageFolderStream
from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.stepper import NetworkStepper
from ghn.training.loop import Loop
from ghn.training.ranks import Ranks
from ghn.training.signals import StoppedError
from ghn.training.state import StateError, load_state, locked, save_state
from ghn.training.trainer import NonFiniteError, StepReport, Trainer

START, RESULT = "start", "result.json"


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


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """One learning rate's training: its score, −inf where it diverged, its losses, and the trained network."""

    score: float
    losses: list[float]
    network: dict[str, Any]


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
    folder: str | os.PathLike[str] | None = None,
    *,
    quiet: bool = True,
) -> FinetuneResult:
    """Train `network` in place with the best of the learning rates.

    Args:
        network: With the parameters to start from; left with the best parameters found, in training mode. The
            process's random state is not touched.
        stream: Training images.
        judge: Gives the quality of a trained network, higher is better, e.g. its accuracy on held-out images.
        config: How to train.
        folder: Where states and logs are kept, a folder for each learning rate; the same call goes on after it was
            stopped or killed, with the numbers of one that was not. None keeps nothing.
        quiet: No progress bar.

    Raises:
        ValueError: When the training diverged with every learning rate.
        StateError: When the folder holds another fine-tuning, or is in use.
        StoppedError: When SIGTERM or SIGINT stopped it; what was done is saved.
    """
    home = None if folder is None else Path(folder)
    with nullcontext() if home is None else locked(home), _random_state_kept(network):
        start = _start(network, config, home)
        outcomes: dict[float, _Outcome] = {}
        for rate in config.learning_rates:
            network.load_state_dict(start)
            outcomes[rate] = _finished(home, rate) or _train(network, stream, judge, config, rate, home, quiet)
            _drop_worse(outcomes)
    finite = [rate for rate, outcome in outcomes.items() if math.isfinite(outcome.score)]
    if not finite:
        raise ValueError(f"the training diverged with every learning rate of {config.learning_rates}; try lower ones")
    best = max(finite, key=lambda rate: outcomes[rate].score)
    network.load_state_dict(outcomes[best].network)
    network.train()
    return FinetuneResult(
        learning_rate=best,
        steps=len(outcomes[best].losses),
        score=outcomes[best].score,
        losses=outcomes[best].losses,
        scores={rate: outcome.score for rate, outcome in outcomes.items()},
    )


def _random_state_kept(network: nn.Module) -> Any:
    device = next(network.parameters()).device
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _start(network: nn.Module, config: FinetuneConfig, folder: Path | None) -> dict[str, Any]:
    """The state that every training starts from: the network's, with noise; of a begun fine-tuning the same again."""
    saved = None if folder is None else load_state(folder / START)
    if saved is not None:
        before, now = FinetuneConfig.from_dict(saved["config"]).identity(), config.identity()
        different = next((name for name in now if before[name] != now[name]), None)
        if different is not None:
            raise StateError(
                f"{folder} holds a fine-tuning with {different}={before[different]!r}, not {now[different]!r}; "
                "take another folder, or that value"
            )
        shapes = {name: tuple(value.shape) for name, value in saved["network"].items()}
        if shapes != {name: tuple(value.shape) for name, value in network.state_dict().items()}:
            raise StateError(f"{folder} holds the fine-tuning of another network; take another folder")
        return saved["network"]
    if config.noise:
        add_noise(network, config.noise, seed=config.seed)
    start = copy.deepcopy(network.state_dict())
    if folder is not None:
        remove_partial(folder)
        save_state(folder / START, {"config": config.to_dict(), "network": start})
    return start


def _home(folder: Path, rate: float) -> Path:
    # All digits: rates that print alike are different trainings.
    return folder / f"rate-{float(rate)!r}"


def _finished(folder: Path | None, rate: float) -> _Outcome | None:
    """What a training that was ended before gave."""
    if folder is None or not (_home(folder, rate) / RESULT).exists():
        return None
    result = json.loads((_home(folder, rate) / RESULT).read_text(encoding="utf-8"))
    if result["score"] is None:
        return _Outcome(score=-math.inf, losses=[], network={})
    state = load_state(_home(folder, rate))
    if state is None:
        return None
    return _Outcome(score=result["score"], losses=state["losses"], network=state["network"])


def _train(
    network: nn.Module,
    stream: ImageStream | ImageFolderStream,
    judge: Callable[[nn.Module], float],
    config: FinetuneConfig,
    rate: float,
    folder: Path | None,
    quiet: bool,
) -> _Outcome:
    """Train from the network's state with one learning rate, and judge."""
    home = None if folder is None else _home(folder, rate)
    steps = config.steps or max(1, round(config.epochs * stream.batches_per_epoch))
    stepper = NetworkStepper(config, network.train(), stream.batch_size)
    device = next(network.parameters()).device
    trainer = Trainer(replace(config, learning_rate=rate, steps=steps), stepper, Ranks(device=device))
    loop = Loop(trainer, home, quiet=quiet)

    def remember(report: StepReport) -> None:
        stepper.losses.append(report.loss)

    try:
        loop.go(lambda first, last: _works(stream, first, last), after_step=remember)
        if trainer.stop_requested:
            raise StoppedError(f"stopped after step {trainer.step_count:,} with learning rate {rate:g}")
        # A judge may leave traces, as in running statistics.
        trained = copy.deepcopy(network.state_dict())
        score = float(judge(network))
    except NonFiniteError:
        trained, score = {}, -math.inf
    if home is not None:
        write_text(home / RESULT, json.dumps({"score": score if math.isfinite(score) else None}) + "\n")
    return _Outcome(score=score, losses=stepper.losses, network=trained)


def _works(stream: ImageStream | ImageFolderStream, first: int, last: int) -> Iterator[tuple[Tensor, Tensor]]:
    for step in range(first, last):
        images, labels = stream.batch(step)
        yield images.contiguous(memory_format=torch.channels_last), labels


def _drop_worse(outcomes: dict[float, _Outcome]) -> None:
    """Hold the parameters of the best only."""
    best = max(outcomes, key=lambda rate: outcomes[rate].score)
    for rate, outcome in outcomes.items():
        if rate != best:
            outcomes[rate] = replace(outcome, network={})
