"""A meta-training run from its config to its last save: what feeds, logs, saves and resumes the trainer."""

from __future__ import annotations

import errno
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.files import remove_partial, write_text
from ghn.deepnets import DeepNets, MetaBatch, MetaBatches, Space, network_from_arguments
from ghn.hypernet import GHNConfig
from ghn.meta.config import VALIDATION_BATCHES, MetaTrainingConfig
from ghn.meta.images import open_images
from ghn.meta.targets import Target
from ghn.meta.trainer import MetaTrainer, StepReport
from ghn.meta.validation import validate
from ghn.model import GHN
from ghn.training.logbook import Logbook
from ghn.training.memory import most_memory_gb
from ghn.training.precision import in_float32
from ghn.training.ranks import Ranks
from ghn.training.state import StateError, load_state, locked, save_state


def train(
    config: MetaTrainingConfig,
    folder: str | os.PathLike[str],
    *,
    device: str | None = None,
    quiet: bool = False,
    stop_after: int | None = None,
) -> MetaTrainer:
    """Train a hypernetwork, or go on with a training whose state is in `folder`.

    Under `torchrun` every process calls this. SIGTERM and SIGINT save the state and end the run after the step.

    Args:
        config: The run; where `folder` holds a state it must be the same but for its length and what does not touch
            the result (workers, saving, logging).
        folder: The run's folder: config, log, and state.
        device: "cpu" or "cuda"; by default CUDA where there is any.
        quiet: No progress bar.
        stop_after: Save and return after so many steps of this call.

    Returns:
        The trainer, with the hypernetwork trained so far.

    Raises:
        StateError: When the folder's state is of another run, or damaged.
        DataError: When the images are missing.
        NonFiniteError: When too many steps in a row were not finite.
        RankLostError: When another process of the run has gone.
        OSError: When the last state could not be saved.
    """
    with Ranks.from_environment(device) as ranks, locked(Path(folder)) if ranks.is_first else nullcontext():
        return _Run(config, Path(folder), ranks, quiet).go(stop_after)


class _Run:
    def __init__(self, config: MetaTrainingConfig, folder: Path, ranks: Ranks, quiet: bool) -> None:
        self.config, self.folder, self.ranks = config, folder, ranks
        self.images = open_images(config, ranks)
        torch.manual_seed(config.seed)
        hypernet = GHN(config.hypernet).to(ranks.device).train()
        self.trainer = MetaTrainer(config, hypernet, ranks)
        if ranks.is_first:
            remove_partial(folder)
        state = load_state(folder, set_aside=ranks.is_first)
        if state is not None:
            _check_same_run(config, state["config"], folder)
            self.trainer.load_state_dict(state)
        _check_same_step(ranks, self.trainer.step_count, folder)
        _check_length(config, self.trainer.step_count, folder)
        self.validation = validation_networks(config) if config.validate_every and ranks.is_first else None
        length = f"/{config.steps:,}" if config.minutes is None else f" in {config.minutes:g} minutes"
        self.log = Logbook(
            folder if ranks.is_first else None, length=length, quiet=quiet, start=self.trainer.step_count
        )
        if ranks.is_first:
            _write_config(folder, config)
        self.recent: list[StepReport] = []
        self.data_seconds = 0.0
        self.saved_at = self.trainer.step_count
        self._last = time.perf_counter()

    def go(self, stop_after: int | None) -> MetaTrainer:
        trainer, config = self.trainer, self.config
        last = config.steps if stop_after is None else min(config.steps, trainer.step_count + stop_after)
        batches = meta_batches(config, config.space, self.ranks)
        loaded = iter(batches.loader(range(trainer.step_count, last), workers=config.workers, prefetch=4))
        self._last = time.perf_counter()
        length = f"{config.steps:,} steps" if config.minutes is None else f"{config.minutes:g} minutes"
        self.log.say(f"training from step {trainer.step_count:,} on, {length} in all, in {self.folder}")
        try:
            with _stop_on_signal(trainer):
                while trainer.step_count < last and trainer.progress < 1:
                    if self._step(next(loaded)):
                        break
            if trainer.step_count > self.saved_at:
                self._save(must=True)
            if trainer.stop_requested:
                self.log.say(f"stopped after step {trainer.step_count:,}, which is saved; the same command goes on")
        finally:
            self.log.close()
        return trainer

    def _step(self, networks: MetaBatch) -> bool:
        """One step with all that belongs to it; returns whether to stop."""
        trainer, config = self.trainer, self.config
        batches = self._batches()
        targets = make_targets(networks, config, self.ranks.device)
        self.data_seconds += time.perf_counter() - self._last
        log_now = (trainer.step_count + 1) % config.log_every == 0
        timed = log_now or self.ranks.device.type == "cpu"
        report = trainer.step(targets, batches, norms=log_now, timed=timed)
        self.recent.append(report)
        step = trainer.step_count
        self._last = time.perf_counter()
        if not report.finite:
            self.log.say(f"step {step} was not finite and is skipped ({trainer.skipped} so far)")
        if log_now:
            self._write_log()
        if step % config.save_every == 0 and report.finite and not report.stop:
            self._save(must=False)
        if self.validation is not None and step % config.validate_every == 0:
            self._validate(self.validation)
        return report.stop

    def _batches(self) -> list[tuple[Tensor, Tensor]]:
        """This rank's images of the next step, for each of its networks."""
        slots, step = self.ranks.share(self.config.meta_batch), self.trainer.step_count
        if self.config.shared_images:
            return [_channels_last(self.images.train.batch(step))] * len(slots)
        return [_channels_last(self.images.train.batch(step * self.config.meta_batch + slot)) for slot in slots]

    def _write_log(self) -> None:
        reports, self.recent = self.recent, []
        finite = [report for report in reports if report.finite]
        last = reports[-1]
        values: dict[str, Any] = {
            "loss": _mean([report.loss for report in finite]),
            "accuracy": _mean([report.accuracy for report in finite]),
            "penalty": _mean([report.penalty for report in finite]),
            "gradient_norm": _mean([report.gradient_norm for report in finite]),
            "parameter_norm": last.parameter_norm,
            "update_norm": last.update_norm,
            "learning_rate": last.learning_rate,
            "elapsed": self.trainer.elapsed,
            "skipped": self.trainer.skipped,
            "out_of_memory": self.trainer.out_of_memory,
            "memory_gb": most_memory_gb(self.ranks.device),
            "seconds_data": self.data_seconds / len(reports),
        }
        self.data_seconds = 0.0
        for part in last.seconds:
            values[f"seconds_{part}"] = _mean([report.seconds[part] for report in reports if report.seconds])
        self.log.write(self.trainer.step_count, values)
        text = f"loss {values['loss']:.3f} accuracy {values['accuracy']:.3f}" if finite else "not finite"
        self.log.progress(self.trainer.step_count, self.trainer.progress, text)

    def _validate(self, drawn: MetaBatch) -> None:
        held_out = self.images.held_out
        assert held_out is not None, "validation holds images out"
        networks = make_targets(drawn, replace(self.config, precision="float32"), self.ranks.device)
        batches = [_channels_last(held_out.batch(index)) for index in range(VALIDATION_BATCHES)]
        accuracies, losses = validate(self.trainer.hypernet, networks, batches)
        self._last = time.perf_counter()
        if not accuracies:
            self.log.say(f"step {self.trainer.step_count}: no memory for any network of the validation")
            return
        values = {
            "validation_accuracy": statistics.mean(accuracies),
            "validation_accuracy_std": statistics.pstdev(accuracies),
            "validation_accuracy_max": max(accuracies),
            "validation_loss": statistics.median(losses),
        }
        self.log.write(self.trainer.step_count, values)
        self.log.say(
            f"step {self.trainer.step_count}: {len(accuracies)} held-out networks on held-out images: accuracy "
            f"{values['validation_accuracy']:.3f} ± {values['validation_accuracy_std']:.3f}"
        )

    def _save(self, *, must: bool) -> None:
        """Save the state; one that cannot be written is reported, and only the last of a run (`must`) is an error."""
        if not self.ranks.is_first:
            return
        try:
            save_state(self.folder, self.trainer.state_dict())
        except OSError as error:
            # An error of PyTorch's writer has no number; it says so where the disk is full.
            remedy = ": free some space" if error.errno in (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
            text = (
                f"state of step {self.trainer.step_count} not saved in {self.folder} ({error}); "
                f"that of step {self.saved_at} stays{remedy}"
            )
            if must:
                raise OSError(text) from error
            self.log.say(text)
        else:
            self.saved_at = self.trainer.step_count
        self._last = time.perf_counter()


def meta_batches(config: MetaTrainingConfig, space: Space, ranks: Ranks | None = None) -> MetaBatches:
    """The networks of a run, those of one process of `ranks` or all."""
    ranks = ranks or Ranks()
    return MetaBatches(
        DeepNets(space.split, image_size=config.image_size, num_classes=config.hypernet.num_classes),
        config.meta_batch,
        seed=config.seed,
        rank=ranks.rank,
        world_size=ranks.world,
        space=space,
        # Begun runs would take another course. Of a million, two are seldom the same.
        distinct=False,
    )


def validation_networks(config: MetaTrainingConfig) -> MetaBatch:
    """The networks of the split `val` that a run is validated on: of the run's space, whatever their width.

    Raises:
        ValueError: When the space has too few.
    """
    space = replace(config.space, split="val", channels=(), batch_nodes=10**9)
    return meta_batches(replace(config, meta_batch=config.validation_networks), space)[0]


def make_targets(networks: MetaBatch, config: MetaTrainingConfig, device: torch.device) -> list[Target]:
    """Build the networks on the meta device; their classifiers compute in float32 whatever the run's precision."""
    targets = []
    for arguments, graph in zip(networks.arguments, networks.graphs, strict=True):
        with torch.device("meta"):
            network = network_from_arguments(arguments, config.hypernet.num_classes, config.image_size)
        if config.precision != "float32":
            for path in {name.rpartition(".")[0] for name, spec in graph.parameters.items() if spec.head}:
                in_float32(network.get_submodule(path))
            if device.type == "cpu":
                slow_in_half_precision(network)
        targets.append(Target(network=network, graph=graph))
    return targets


def slow_in_half_precision(network: nn.Module) -> None:
    """Let depthwise convolutions compute in float32: on the CPU their weight gradient is twice as fast there."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            in_float32(module)


FREE_TO_CHANGE = frozenset(
    {"steps", "minutes", "data_root", "save_every", "log_every", "validate_every", "validation_networks"}
    | {"max_nonfinite", "workers", "image_workers", "accumulate", "learning_rate", "clip", "precision", "shared_images"}
)
"""Fields that a resumed run may give other values."""


def _check_same_run(config: MetaTrainingConfig, saved: dict[str, Any], folder: Path) -> None:
    before = MetaTrainingConfig.from_dict(saved)
    for name in vars(config):
        if name in FREE_TO_CHANGE:
            continue
        # What validation needs is held out, and must stay so.
        name = "held_out" if name == "hold_out" else name
        was, value = getattr(before, name), getattr(config, name)
        if was != value:
            if isinstance(value, GHNConfig | Space):
                was, value = asdict(was), asdict(value)
            raise StateError(
                f"{folder} holds a run with {name}={was!r}, not {value!r}; take another folder, or that value"
            )


def _check_length(config: MetaTrainingConfig, step: int, folder: Path) -> None:
    if step > config.steps:
        raise StateError(f"the run in {folder} has made {step:,} steps, more than {config.steps:,}; ask for more steps")


def _check_same_step(ranks: Ranks, step: int, folder: Path) -> None:
    steps = [int(value) for value in ranks.gather(step)]
    if len(set(steps)) > 1:
        raise StateError(
            f"the processes found states of different steps, {', '.join(map(str, steps))}, in {folder}; "
            "it must be the same folder for all, on a file system that they share"
        )


def _write_config(folder: Path, config: MetaTrainingConfig) -> None:
    write_text(folder / "config.json", json.dumps(config.to_dict(), indent=2) + "\n")


@contextmanager
def _stop_on_signal(trainer: MetaTrainer) -> Iterator[None]:
    """SIGTERM and SIGINT ask the trainer to stop after its step; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        trainer.stop_requested = True
        signal.signal(number, before[number])

    for number in (int(signal.SIGTERM), int(signal.SIGINT)):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _channels_last(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    images, labels = batch
    return images.contiguous(memory_format=torch.channels_last), labels


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
