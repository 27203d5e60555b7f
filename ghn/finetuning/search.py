"""Training of a single network from one start, with each of several learning rates; the best is kept.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3).
"""

from __future__ import annotations

import copy
import json
import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.files import remove_partial, write_text
from ghn.common.progress import Bar
from ghn.common.tensors import digest_of_state
from ghn.common.untrusted.json_text import read_json
from ghn.data import ImageStream
from ghn.data.image_folder import ImageFolderStream
from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.images import memory_format_for, works
from ghn.finetuning.mixing import Mix
from ghn.finetuning.result import FinetuneResult, HistoryPoint
from ghn.finetuning.stepper import NetworkStepper
from ghn.initializers import StartReport
from ghn.initializers.noise import add_noise
from ghn.training.loop import Loop, Validation, check_same_run
from ghn.training.ranks import Ranks
from ghn.training.signals import StoppedError
from ghn.training.state import StateError, load_state, locked, save_state
from ghn.training.trainer import NonFiniteError, StepReport, Trainer

START, RESULT = "start", "result.json"

LOGGED = {
    "loss": "test_loss",
    "accuracy": "test_accuracy",
    "validation": "validation_accuracy",
    "averaged": "test_accuracy_average",
}
"""What the log calls what was found of a network on the way."""

MOST_OF_A_RESULT = 1 << 16
"""Bytes of a result's file."""

Works = Trainer[tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """One learning rate's training: its score, −inf where it diverged, and what is left of it."""

    score: float
    losses: list[float]
    history: list[dict[str, Any]]
    network: dict[str, Any]
    averaged: dict[str, Any] | None = None


def search(
    network: nn.Module,
    stream: ImageStream | ImageFolderStream,
    judge: Callable[[nn.Module], float],
    config: FinetuneConfig,
    folder: str | os.PathLike[str] | None = None,
    *,
    quiet: bool = True,
) -> FinetuneResult:
    """Train `network` in place with the best of the learning rates, judged as you like.

    Args:
        network: With the parameters to start from; left with the best parameters found, in training mode, or as it was
            after an error. The process's random state is not touched.
        stream: Training images.
        judge: Gives the quality of a trained network, higher is better, e.g. its accuracy on held-out images.
        config: How to train; what it says of data and of the start is not read.
        folder: Where states and logs are kept, a folder for each learning rate; the same call goes on after it was
            stopped or killed, with the numbers of one that was not. None keeps nothing.
        quiet: No progress bar, no lines.

    Raises:
        ValueError: When the training diverged with every learning rate, or the network has nothing to train.
        StateError: When the folder holds another fine-tuning (configuration, network or start), or another process
            uses it.
        StoppedError: When SIGTERM or SIGINT stopped it; what was done is saved.
    """
    home = None if folder is None else Path(folder)
    ranks = Ranks(device=next((parameter.device for parameter in network.parameters()), torch.device("cpu")))
    with Bar(quiet=quiet) as bar:
        return Search(
            network=network, stream=stream, judge=judge, config=config, folder=home, bar=bar, ranks=ranks
        ).run()


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched, and how; `run` does it.

    Attributes:
        network: What is trained, in place.
        stream: Training images, this process's part of each batch.
        config: How to train.
        folder: See `search`.
        ranks: The processes, each of which calls `run`.
        judge: See `search`; None for the share of held-out images in the last of what `observe` found, or, where there
            are none, minus the training loss over the last tenth of the steps.
        observe: Looks at the network in training, and at one with averaged weights or None, as `step` says; all
            processes call it together.
        start: Sets the parameters that every training starts from; None for those that are there.
        mix: Mixes images.
        around: Context of every forward pass of a training.
        bar: Shows the progress.
        origin: Digest of what the start and the images are read from; a folder refuses another one.
    """

    network: nn.Module
    stream: ImageStream | ImageFolderStream
    config: FinetuneConfig
    folder: Path | None = None
    ranks: Ranks = field(default_factory=Ranks)
    judge: Callable[[nn.Module], float] | None = None
    observe: Callable[[nn.Module, nn.Module | None, int], HistoryPoint] | None = None
    start: Callable[[nn.Module], StartReport] | None = None
    mix: Mix | None = None
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    bar: Bar = field(default_factory=lambda: Bar(quiet=True))
    origin: str = ""

    def run(self) -> FinetuneResult:
        """Train, and leave the network with the best parameters; see `search`."""
        network = self.network
        if not any(parameter.requires_grad for parameter in network.parameters()):
            name = type(network).__name__
            raise ValueError(f"{name} has no parameter that requires a gradient: nothing can be trained")
        held = nullcontext() if self.folder is None or not self.ranks.is_first else locked(self.folder)
        with held, _random_state_kept(network), _restored_after_errors(network):
            report, outcomes = self._search()
        rate = _best(outcomes)
        best = outcomes[rate]
        network.load_state_dict(best.network)
        network.train()
        return FinetuneResult(
            learning_rate=rate,
            steps=len(best.losses),
            score=best.score,
            losses=best.losses,
            scores={rate: outcome.score for rate, outcome in outcomes.items()},
            history=tuple(HistoryPoint(**point) for point in best.history),
            start=report,
            averaged=best.averaged,
        )

    def _search(self) -> tuple[StartReport | None, dict[float, _Outcome]]:
        """What came of each learning rate; only the best one's network is held."""
        modes = _modes(self.network)
        start, report = self._start()
        outcomes: dict[float, _Outcome] = {}
        for rate in self.config.rates:
            self.network.load_state_dict(start)
            _set_modes(modes)
            seen = next((outcome.history[:1] for outcome in outcomes.values() if outcome.history), [])
            outcomes[rate] = self._finished(rate) or self._train(rate, len(outcomes), seen)
            _drop_worse(outcomes)
        if not any(math.isfinite(outcome.score) for outcome in outcomes.values()):
            raise ValueError(f"the training diverged with every learning rate of {self.config.rates}; try lower ones")
        return report, outcomes

    def _start(self) -> tuple[dict[str, Any], StartReport | None]:
        """The state that every training starts from; of a begun fine-tuning the same again."""
        network, config = self.network, self.config
        folder = self.folder if self.ranks.is_first else None
        given = None if folder is None else digest_of_state(network.state_dict()) + self.origin
        saved = None if folder is None else _saved_start(folder)
        begun = self._does_first(saved is not None)
        report = None
        if folder is not None and saved is not None:
            check_same_run(config, saved["config"], folder, "a fine-tuning")
            if saved["given"] != given:
                raise StateError(f"{folder} holds the fine-tuning of another network or start; take another folder")
            network.load_state_dict(saved["network"])
            report = _report_of(saved.get("report"))
        elif not begun:
            report = None if self.start is None else self.start(network)
            if config.noise:
                add_noise(network, config.noise, seed=config.seed, frozen=False)
        self.ranks.spread([value for value in network.state_dict().values() if isinstance(value, Tensor)])
        start = copy.deepcopy(network.state_dict())
        if folder is not None and saved is None:
            remove_partial(folder / START)
            plain = {"config": config.to_dict(), "given": given, "network": start}
            save_state(folder / START, plain | {"report": None if report is None else asdict(report)})
        return start, report

    def _does_first(self, mine: bool) -> bool:
        """What the first process says."""
        return self.ranks.gather(float(mine))[0] > 0

    def _finished(self, rate: float) -> _Outcome | None:
        """What a training that was ended before gave; None on all processes where one of them does not find it."""
        found = None if self.folder is None else _read_outcome(_home(self.folder, rate), self.config)
        everywhere = all(value > 0 for value in self.ranks.gather(float(found is not None)))
        return found if everywhere else None

    def _train(self, rate: float, index: int, seen: list[dict[str, Any]]) -> _Outcome:
        """Train from the network's state with one learning rate, and judge."""
        config, stream, home = self.config, self.stream, None if self.folder is None else _home(self.folder, rate)
        steps = config.steps or max(1, round(config.epochs * stream.batches_per_epoch))
        stepper = NetworkStepper(
            config, self.network, stream.batch_size, mix=self.mix, rank=self.ranks.rank, around=self.around
        )
        trainer = Trainer(replace(config, learning_rate=rate, steps=steps), stepper, self.ranks)
        count = len(config.rates)
        title = f"rate {rate:g}" + (f" ({index + 1} of {count})" if count > 1 else "")
        loop = Loop(trainer, home, bar=self.bar, title=title, part=(index, count))
        memory_format = memory_format_for(self.network)
        if not stepper.history:
            stepper.history = list(seen)

        def remember(report: StepReport) -> None:
            stepper.losses.append(report.loss)
            if trainer.progress >= 1:
                # Part of the last state.
                self._look(trainer, stepper)

        try:
            if trainer.step_count == 0:
                self._look(trainer, stepper)
            loop.go(
                lambda first, last: works(stream, first, last, memory_format),
                validate=None if self.observe is None else lambda: self._validation(trainer, stepper),
                after_step=remember,
            )
            if any(self.ranks.gather(float(trainer.stop_requested))):
                raise StoppedError(f"stopped after step {trainer.step_count:,} with learning rate {rate:g}")
            outcome = self._outcome(trainer, stepper)
        except NonFiniteError as error:
            if trainer.step_count == 1:
                raise ValueError(_broken_start(self.network, trainer)) from error
            outcome = _Outcome(score=-math.inf, losses=[], history=stepper.history[:1], network={})
        if home is not None and self.ranks.is_first:
            result = {"score": outcome.score if math.isfinite(outcome.score) else None, "step": trainer.step_count}
            write_text(home / RESULT, json.dumps(result) + "\n")
        return outcome

    def _outcome(self, trainer: Works, stepper: NetworkStepper) -> _Outcome:
        self._look(trainer, stepper)
        # A judge may leave traces, as in running statistics.
        trained = copy.deepcopy(self.network.state_dict())
        if self.judge is not None:
            score = float(self.judge(self.network))
        elif stepper.history and stepper.history[-1]["validation"] is not None:
            score = stepper.history[-1]["validation"]
        else:
            score = -statistics.fmean(stepper.losses[-max(1, len(stepper.losses) // 10) :])
        return _Outcome(
            score=score if math.isfinite(score) else -math.inf,
            losses=stepper.losses,
            history=stepper.history,
            network=trained,
            averaged=None if trainer.average is None else copy.deepcopy(trainer.average.module.state_dict()),
        )

    def _look(self, trainer: Works, stepper: NetworkStepper) -> None:
        """Observe the network as it is, once a step."""
        step = trainer.step_count
        if self.observe is None or (stepper.history and stepper.history[-1]["step"] == step):
            return
        averaged = None if trainer.average is None else trainer.average.module
        stepper.history.append(asdict(self.observe(self.network, averaged, step)))

    def _validation(self, trainer: Works, stepper: NetworkStepper) -> Validation:
        self._look(trainer, stepper)
        point = HistoryPoint(**stepper.history[-1])
        return Validation(
            values={
                LOGGED[name]: value for name, value in asdict(point).items() if name in LOGGED and value is not None
            },
            line=str(point),
        )


@contextmanager
def _restored_after_errors(network: nn.Module) -> Iterator[None]:
    """Leave the network as it was given where its training does not come to an end."""
    given, modes = copy.deepcopy(network.state_dict()), {module: module.training for module in network.modules()}
    try:
        yield
    except BaseException:
        network.load_state_dict(given)
        _set_modes(modes)
        raise


def _modes(network: nn.Module) -> dict[nn.Module, bool]:
    """Training mode; of a network that is in it, parts in evaluation mode (frozen batch norms) stay so."""
    return {module: module.training or not network.training for module in network.modules()}


def _set_modes(modes: Mapping[nn.Module, bool]) -> None:
    for module, mode in modes.items():
        module.training = mode


def _random_state_kept(network: nn.Module) -> Any:
    device = next(network.parameters()).device
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _broken_start(network: nn.Module, trainer: Works) -> str:
    """Why no learning rate can help: the first loss is that of the start."""
    if trainer.out_of_memory:
        return f"there is not enough memory for the first step: {trainer.stepper.memory_advice}"
    return (
        f"the loss of {type(network).__name__} or its gradient is not finite at the first step, whatever the learning "
        "rate: the start or the images are at fault; take another start"
    )


def _saved_start(folder: Path) -> dict[str, Any] | None:
    try:
        return load_state(folder / START, keys=("config", "given", "network"))
    except StateError as error:
        # Without its start nothing else that the folder holds can be told apart from another fine-tuning's.
        raise StateError(f"{str(error).partition(';')[0]}; delete {folder} to begin anew") from error


def _report_of(plain: Any) -> StartReport | None:
    """The report of a start from its plain values; None for what is none."""
    try:
        steps = tuple(step for step in map(_report_of, plain["steps"]) if step is not None)
        return StartReport(
            **{**plain, "changed": tuple(plain["changed"]), "notes": tuple(plain["notes"]), "steps": steps}
        )
    except (LookupError, TypeError):
        return None


def _home(folder: Path, rate: float) -> Path:
    # All digits: rates that print alike are different trainings.
    return folder / f"rate-{float(rate)!r}"


def _read_outcome(home: Path, config: FinetuneConfig) -> _Outcome | None:
    try:
        result = read_json(home / RESULT, MOST_OF_A_RESULT)
        score, step = result["score"], result["step"]
    except (OSError, ValueError, LookupError, TypeError):
        # Not there, or no result: the training is taken up at its last state, and judged.
        return None
    if score is None:
        return _Outcome(score=-math.inf, losses=[], history=[], network={})
    state = load_state(home, keys=("losses", "history", "network", "step"))
    if state is None or state["step"] != step:
        # The judged state is damaged, and the one before it is an older network.
        return None
    average = state.get("average") if config.average is not None else None
    return _Outcome(
        score=float(score),
        losses=state["losses"],
        history=state["history"],
        network=state["network"],
        averaged=average and {n.removeprefix("module."): v for n, v in average.items() if n.startswith("module.")},
    )


def _best(outcomes: Mapping[float, _Outcome]) -> float:
    return max(outcomes, key=lambda rate: outcomes[rate].score)


def _drop_worse(outcomes: dict[float, _Outcome]) -> None:
    """Hold the parameters of the best only."""
    best = _best(outcomes)
    for rate, outcome in outcomes.items():
        if rate != best:
            outcomes[rate] = replace(outcome, network={}, averaged=None)
