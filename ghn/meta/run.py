"""A meta-training run from its config to its last save: the networks and images that it is fed."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ghn.common.parallel.processes import interrupts_held
from ghn.common.progress import Bar
from ghn.data import ImageFolder, ImageFolderStream, ImageSet, ImageStream
from ghn.deepnets import DeepNets, MetaBatch, MetaBatches, Space, network_from_arguments
from ghn.meta.adaptation import Adaptation
from ghn.meta.config import VALIDATION_BATCHES, MetaTrainingConfig
from ghn.meta.images import Images, open_images
from ghn.meta.initial import set_initial_scale
from ghn.meta.new_shapes import attention_without_compilation, without_compilation
from ghn.meta.stepper import MetaStepper, MetaWork, meta_trainer
from ghn.meta.targets import Target
from ghn.meta.validation import validate
from ghn.model import GHN, from_pretrained
from ghn.training.loop import Loop, Validation
from ghn.training.precision import in_float32
from ghn.training.ranks import Ranks
from ghn.training.state import has_state, locked
from ghn.training.trainer import Trainer


def train(
    config: MetaTrainingConfig,
    folder: str | os.PathLike[str],
    *,
    device: str | None = None,
    quiet: bool = False,
    bar: Bar | None = None,
    stop_after: int | None = None,
    images: ImageSet | ImageFolder | None = None,
) -> Trainer[MetaWork]:
    """Train a hypernetwork, or go on with a training whose state is in `folder`.

    Under `torchrun` every process calls this. SIGTERM and SIGINT save the state and end the run after the step.

    Args:
        config: The run; where `folder` holds a state it must be the same but for its length and what does not touch
            the result (workers, saving, logging).
        folder: The run's folder: config, log, and state.
        device: "cpu", "cuda" or "cuda:N"; by default CUDA where there is any.
        quiet: No progress bar, no lines.
        bar: Shows the progress, whatever `quiet` says; one that the caller has on the terminal already.
        stop_after: Save and return after so many steps of this call.
        images: The run's training images, where they are open already (see `ghn.meta.images.training_images`).

    Returns:
        The trainer; its `stepper.module` is the hypernetwork trained so far.

    Raises:
        StateError: When the folder's state is of another run, or damaged.
        DataError: When the images are missing.
        NonFiniteError: When too many steps in a row were not finite.
        RankLostError: When another process of the run has gone.
        OSError: When the last state could not be saved.
    """
    folder = Path(folder)
    with Ranks.from_environment(device) as ranks, _shown(bar, quiet, ranks) as bar:
        streams = open_images(config, ranks, images)
        with locked(folder) if ranks.is_first else nullcontext():
            return _trained(config, folder, ranks, streams, bar, stop_after)


def _trained(
    config: MetaTrainingConfig, folder: Path, ranks: Ranks, streams: Images, bar: Bar, stop_after: int | None
) -> Trainer[MetaWork]:
    with bar.step("making the hypernetwork"):
        torch.manual_seed(config.seed)
        trainer = meta_trainer(config, starting_weights(config, folder).to(ranks.device).train(), ranks)
    with bar.step("drawing networks"):
        validate = _validator(trainer, config, streams) if config.validate_every and ranks.is_first else None
    loop = Loop(trainer, folder, bar=bar)
    with attention_without_compilation() if ranks.device.type == "cuda" else nullcontext():
        loop.go(_works(config, streams, ranks), validate=validate, stop_after=stop_after)
        if trainer.stop_requested:
            loop.bar.say(f"stopped after step {trainer.step_count:,}, which is saved; the same command goes on")
    return trainer


def _shown(bar: Bar | None, quiet: bool, ranks: Ranks) -> AbstractContextManager[Bar]:
    """The caller's bar, or one of our own; the first process alone shows anything."""
    if bar is not None and ranks.is_first:
        return nullcontext(bar)
    return Bar("reading images", quiet=quiet or not ranks.is_first)


def starting_weights(config: MetaTrainingConfig, folder: Path) -> GHN:
    """The hypernetwork as a run begins: fresh, or with the weights of another where none of the run are saved yet.

    Raises:
        CheckpointError: When the other cannot be read.
        ValueError: When it is of another architecture.
    """
    hypernet = GHN(config.hypernet)
    if config.start_from is None or has_state(folder):
        set_initial_scale(hypernet, config.initialization)
        return hypernet
    other = from_pretrained(config.start_from)
    if other.config != config.hypernet:
        before, now = other.config.to_dict(), config.hypernet.to_dict()
        name = next(name for name in now if before[name] != now[name])
        raise ValueError(
            f"{config.start_from} has {name}={before[name]!r}, the run {now[name]!r}; leave out that option"
        )
    hypernet.load_state_dict(other.state_dict())
    return hypernet


def _works(config: MetaTrainingConfig, images: Images, ranks: Ranks) -> Callable[[int, int], Iterator[MetaWork]]:
    """This rank's networks of each step, with their images."""
    batches = meta_batches(config, config.space, ranks)

    def works(first: int, last: int) -> Iterator[MetaWork]:
        with interrupts_held():
            loaded = iter(batches.loader(range(first, last), workers=config.workers, prefetch=4))
        return (_work(next(loaded), step) for step in range(first, last))

    def _work(networks: MetaBatch, step: int) -> MetaWork:
        shown = _batches(config, images, ranks, step)
        return MetaWork(targets=make_targets(networks, config, ranks.device), batches=shown)

    return works


def _batches(config: MetaTrainingConfig, images: Images, ranks: Ranks, step: int) -> list[tuple[Tensor, Tensor]]:
    """This rank's images of a step, for each of its networks."""
    slots = ranks.share(config.meta_batch)
    if config.shared_images:
        return [_channels_last(images.train.batch(step))] * len(slots)
    return [_channels_last(images.train.batch(step * config.meta_batch + slot)) for slot in slots]


def _validator(trainer: Trainer[MetaWork], config: MetaTrainingConfig, images: Images) -> Callable[[], Validation]:
    """Held-out networks with predicted parameters on held-out images; then the choice of the best weights."""
    drawn = validation_networks(config)
    held_out = images.held_out
    assert held_out is not None, "validation holds images out"
    adaptation: list[Adaptation] = []

    def validation() -> Validation:
        networks = make_targets(drawn, replace(config, precision="float32"), trainer.device)
        batches = [_channels_last(held_out.batch(index)) for index in range(VALIDATION_BATCHES)]
        hypernet = trainer.stepper.module
        accuracies, losses = validate(hypernet, networks, batches)
        if not accuracies:
            return Validation(values={}, line="no memory for any network of the validation")
        values = {
            "validation_accuracy": statistics.mean(accuracies),
            "validation_accuracy_std": statistics.pstdev(accuracies),
            "validation_accuracy_max": max(accuracies),
            "validation_loss": statistics.median(losses),
        }
        said = (
            f"{len(accuracies)} held-out networks on held-out images: accuracy "
            f"{values['validation_accuracy']:.3f} ± {values['validation_accuracy_std']:.3f}"
        )
        if trainer.average is not None:
            accuracies_averaged, _ = validate(trainer.average.module, networks, batches)
            values["validation_accuracy_average"] = statistics.mean(accuracies_averaged or [math.nan])
            said += f", with averaged weights {values['validation_accuracy_average']:.3f}"
        if images.adapting is not None:
            # Its networks and random weights are the same at every validation.
            if not adaptation:
                adaptation.append(adaptation_of(config, drawn, networks, images.adapting, batches))
            values["adapted_accuracy"] = adaptation[0].from_predicted(hypernet)
            values["adapted_accuracy_random"] = adaptation[0].from_random()
            said += (
                f"; after {config.adapt_steps} steps of SGD {values['adapted_accuracy']:.3f}, "
                f"from random weights {values['adapted_accuracy_random']:.3f}"
            )
        if config.select_by:
            stepper = trainer.stepper
            assert isinstance(stepper, MetaStepper)
            judged = values["validation_accuracy" if config.select_by == "accuracy" else "adapted_accuracy"]
            said += " (the best so far)" if stepper.consider(judged, trainer.step_count) else ""
        return Validation(values=values, line=said)

    return validation


def adaptation_of(
    config: MetaTrainingConfig,
    drawn: MetaBatch,
    networks: Sequence[Target],
    images: ImageStream | ImageFolderStream,
    held_out: Sequence[tuple[Tensor, Tensor]],
) -> Adaptation:
    """The evaluation after some steps; random weights of a network depend on the run's seed and its number only."""
    device = held_out[0][0].device

    def random(index: int) -> dict[str, Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed * 1009 + index)
            network = network_from_arguments(drawn.arguments[index], config.hypernet.num_classes, config.image_size)
        return {name: parameter.detach().to(device) for name, parameter in network.named_parameters()}

    return Adaptation(
        targets=networks,
        random=random,
        training=[_channels_last(images.batch(step)) for step in range(config.adapt_steps)],
        held_out=held_out,
        rates=config.adapt_rates,
    )


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
        if not config.cudnn_depthwise:
            without_compilation(network, device)
        if config.precision != "float32":
            for path in {name.rpartition(".")[0] for name, spec in graph.parameters.items() if spec.head}:
                in_float32(network.get_submodule(path))
            if device.type == "cpu":
                slow_in_half_precision(network)
        # On the CPU attention in half precision is slower than in float32.
        precision = "float32" if device.type == "cpu" and network.plan.arguments.is_vit else config.precision
        targets.append(Target(network=network, graph=graph, precision=precision))
    return targets


def slow_in_half_precision(network: nn.Module) -> None:
    """Let depthwise convolutions compute in float32: on the CPU their weight gradient is twice as fast there."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            in_float32(module)


def _channels_last(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    images, labels = batch
    return images.contiguous(memory_format=torch.channels_last), labels
