"""A meta-training run from its config to its last save: what feeds, logs, saves and resumes the trainer."""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from ghn.deepnets import DeepNets, MetaBatch, MetaBatches, Space, network_from_arguments
from ghn.hypernet import GHN
from ghn.train.config import MetaTrainingConfig
from ghn.train.distributed import Ranks
from ghn.train.images import VALIDATION_BATCHES, open_images
from ghn.train.logbook import Logbook
from ghn.train.meta_training import MetaTrainer, StepReport
from ghn.train.state import StateError, load_state, remove_partial, save_state, write_atomically
from ghn.train.targets import Target, in_float32
from ghn.train.validation import validate


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
    with Ranks.from_environment(device) as ranks:
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
        state = load_state(folder)
        if state is not None:
            _check_same_run(config, state["config"], folder)
            self.trainer.load_state_dict(state)
        _check_same_step(ranks, self.trainer.step_count, folder)
        self.log = Logbook(
            folder if ranks.is_first else None, steps=config.steps, quiet=quiet, start=self.trainer.step_count
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
        self.log.say(f"training from step {trainer.step_count} of at most {config.steps} in {self.folder}")
        try:
            with _stop_on_signal(trainer):
                while trainer.step_count < last and trainer.progress < 1:
                    if self._step(next(loaded)):
                        break
            if trainer.step_count > self.saved_at:
                self._save(must=True)
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
        if config.validate_every and (step % config.validate_every == 0) and self.ranks.is_first:
            self._validate()
        if step % config.save_every == 0 and report.finite and not report.stop:
            self._save(must=False)
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
            "memory_gb": _memory_gb(self.ranks.device),
            "seconds_data": self.data_seconds / len(reports),
        }
        self.data_seconds = 0.0
        for part in last.seconds:
            values[f"seconds_{part}"] = _mean([report.seconds[part] for report in reports if report.seconds])
        self.log.write(self.trainer.step_count, values)
        text = f"loss {values['loss']:.3f} accuracy {values['accuracy']:.3f}" if finite else "not finite"
        self.log.progress(self.trainer.step_count, text)

    def _validate(self) -> None:
        held_out = self.images.held_out
        assert held_out is not None, "validation holds images out"
        space = replace(self.config.space, split="val", batch_nodes=10**9)
        drawn = meta_batches(replace(self.config, meta_batch=self.config.validation_networks), space)[0]
        networks = make_targets(drawn, replace(self.config, precision="float32"), self.ranks.device)
        batches = [_channels_last(held_out.batch(index)) for index in range(VALIDATION_BATCHES)]
        accuracies, losses = validate(self.trainer.hypernet, networks, batches)
        values = {
            "validation_accuracy": statistics.mean(accuracies),
            "validation_accuracy_std": statistics.pstdev(accuracies),
            "validation_accuracy_max": max(accuracies),
            "validation_loss": statistics.median(losses),
        }
        self.log.write(self.trainer.step_count, values)
        self.log.say(
            f"step {self.trainer.step_count}: {len(networks)} held-out networks on held-out images: accuracy "
            f"{values['validation_accuracy']:.3f} ± {values['validation_accuracy_std']:.3f}"
        )
        self._last = time.perf_counter()

    def _save(self, *, must: bool) -> None:
        """Save the state; one that cannot be written is reported, and only the last of a run (`must`) is an error."""
        if not self.ranks.is_first:
            return
        try:
            save_state(self.folder, self.trainer.state_dict())
        except OSError as error:
            text = (
                f"state of step {self.trainer.step_count} not saved in {self.folder} ({error}); "
                f"that of step {self.saved_at} stays: free some space"
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
    before = MetaTrainingConfig.from_dict(saved).to_dict()
    for name, value in config.to_dict().items():
        if name not in FREE_TO_CHANGE and value != before[name]:
            raise StateError(
                f"{folder} holds a run with {name}={before[name]!r}, not {value!r}; take another folder, or that value"
            )


def _check_same_step(ranks: Ranks, step: int, folder: Path) -> None:
    steps = [int(value) for value in ranks.gather(step)]
    if len(set(steps)) > 1:
        raise StateError(
            f"the processes found states of different steps, {', '.join(map(str, steps))}, in {folder}; "
            "it must be the same folder for all, on a file system that they share"
        )


def _write_config(folder: Path, config: MetaTrainingConfig) -> None:
    write_atomically(
        folder / "config.json", lambda path: path.write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    )


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


def _memory_gb(device: torch.device) -> float:
    """Most memory used so far in GB: of the device, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
