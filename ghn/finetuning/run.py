"""Training of a single network from given parameters, predicted or random, with the best of several learning rates.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.files import remove_partial, write_text
from ghn.common.untrusted.json_text import read_json
from ghn.data import ImageStream
from ghn.data.image_folder import ImageFolderStream
from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.stepper import NetworkStepper
from ghn.initializers.noise import add_noise
from ghn.training.loop import Loop, check_same_run
from ghn.training.ranks import Ranks
from ghn.training.signals import StoppedError
from ghn.training.state import StateError, load_state, locked, save_state
from ghn.training.trainer import NonFiniteError, StepReport, Trainer

START, RESULT = "start", "result.json"

MOST_OF_A_RESULT = 1 << 16
"""Bytes of a result's file."""


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
        network: With the parameters to start from; left with the best parameters found, in training mode, or as it was
            after an error. The process's random state is not touched.
        stream: Training images.
        judge: Gives the quality of a trained network, higher is better, e.g. its accuracy on held-out images.
        config: How to train.
        folder: Where states and logs are kept, a folder for each learning rate; the same call goes on after it was
            stopped or killed, with the numbers of one that was not. None keeps nothing.
        quiet: No progress bar.

    Raises:
        ValueError: When the training diverged with every learning rate, or the network has nothing to train.
        StateError: When the folder holds another fine-tuning (configuration, network or start), or another process
            uses it.
        StoppedError: When SIGTERM or SIGINT stopped it; what was done is saved.
    """
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"{type(network).__name__} has no parameter that requires a gradient: nothing can be trained")
    home = None if folder is None else Path(folder)
    with nullcontext() if home is None else locked(home), _random_state_kept(network), _restored_after_errors(network):
        outcomes = _search(network, stream, judge, config, home, quiet)
    best = max(outcomes, key=lambda rate: outcomes[rate].score)
    network.load_state_dict(outcomes[best].network)
    network.train()
    return FinetuneResult(
        learning_rate=best,
        steps=len(outcomes[best].losses),
        score=outcomes[best].score,
        losses=outcomes[best].losses,
        scores={rate: outcome.score for rate, outcome in outcomes.items()},
    )


def _search(
    network: nn.Module,
    stream: ImageStream | ImageFolderStream,
    judge: Callable[[nn.Module], float],
    config: FinetuneConfig,
    folder: Path | None,
    quiet: bool,
) -> dict[float, _Outcome]:
    """What came of each learning rate; only the best one's network is held."""
    start = _start(network, config, folder)
    outcomes: dict[float, _Outcome] = {}
    for rate in config.learning_rates:
        network.load_state_dict(start)
        outcomes[rate] = _finished(folder, rate) or _train(network, stream, judge, config, rate, folder, quiet)
        _drop_worse(outcomes)
    if not any(math.isfinite(outcome.score) for outcome in outcomes.values()):
        raise ValueError(f"the training diverged with every learning rate of {config.learning_rates}; try lower ones")
    return outcomes


@contextmanager
def _restored_after_errors(network: nn.Module) -> Iterator[None]:
    """Leave the network as it was given where its training does not come to an end."""
    given = copy.deepcopy(network.state_dict())
    try:
        yield
    except BaseException:
        network.load_state_dict(given)
        raise


def _random_state_kept(network: nn.Module) -> Any:
    device = next(network.parameters()).device
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _start(network: nn.Module, config: FinetuneConfig, folder: Path | None) -> dict[str, Any]:
    """The state that every training starts from: the network's, with noise; of a begun fine-tuning the same again."""
    given = None if folder is None else _digest(network.state_dict())
    saved = None if folder is None else _saved_start(folder)
    if folder is not None and saved is not None:
        check_same_run(config, saved["config"], folder, "a fine-tuning")
        if saved["given"] != given:
            raise StateError(f"{folder} holds the fine-tuning of another network or start; take another folder")
        return saved["network"]
    if config.noise:
        add_noise(network, config.noise, seed=config.seed)
    start = copy.deepcopy(network.state_dict())
    if folder is not None:
        remove_partial(folder / START)
        save_state(folder / START, {"config": config.to_dict(), "given": given, "network": start})
    return start


def _saved_start(folder: Path) -> dict[str, Any] | None:
    try:
        return load_state(folder / START, keys=("config", "given", "network"))
    except StateError as error:
        # Without its start nothing else that the folder holds can be told apart from another fine-tuning's.
        raise StateError(f"{str(error).partition(';')[0]}; delete {folder} to begin anew") from error


def _digest(state: Mapping[str, Any]) -> str:
    """Of a network's names, shapes and numbers: tells starts apart."""
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(f"{name}\0".encode())
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _home(folder: Path, rate: float) -> Path:
    # All digits: rates that print alike are different trainings.
    return folder / f"rate-{float(rate)!r}"


def _finished(folder: Path | None, rate: float) -> _Outcome | None:
    """What a training that was ended before gave."""
    if folder is None:
        return None
    try:
        result = read_json(_home(folder, rate) / RESULT, MOST_OF_A_RESULT)
        score, step = result["score"], result["step"]
    except (OSError, ValueError, LookupError, TypeError):
        # Not there, or no result: the training is taken up at its last state, and judged.
        return None
    if score is None:
        return _Outcome(score=-math.inf, losses=[], network={})
    state = load_state(_home(folder, rate), keys=("losses", "network", "step"))
    if state is None or state["step"] != step:
        # The judged state is damaged, and the one before it is an older network.
        return None
    return _Outcome(score=float(score), losses=state["losses"], network=state["network"])


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
        score = score if math.isfinite(score) else -math.inf
    except NonFiniteError:
        trained, score = {}, -math.inf
    if home is not None:
        result = {"score": score if math.isfinite(score) else None, "step": trainer.step_count}
        write_text(home / RESULT, json.dumps(result) + "\n")
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
