"""`ghn train`: train a hypernetwork by a named recipe, or go on with a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from ghn.cli.support.errors import CommandError

if TYPE_CHECKING:
    from ghn.data import ImageFolder, ImageSet
    from ghn.meta.config import MetaTrainingConfig

ENDLESS = 10**9
"""Steps of a run that is to last some minutes."""

SWITCHES = {"virtual_edges": "gated_gnn"} | dict.fromkeys(
    ("forward_edges", "backward_edges", "centrality", "input_distance"), "graphormer"
)
"""Ablation switches, and the encoder that has them."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a hypernetwork by a named run, or go on with one that was stopped.

    The folder receives config.json, log.jsonl, state.pt (all it takes to go on)

    and, at the end, the hypernetwork in hypernet/, which --ghn takes.

    Under torchrun, processes share the networks.

    Options that are None leave the named run's value.

    Attributes:
        run: Name of the run; None lists them.
        output: Folder of the run.
        start_from: Hypernetwork whose weights the run starts from: a name or folder, as --ghn takes.
        data: Data set: cifar10, cifar100, digits, imagenet, or folder; the hypernetwork gets its number of classes.
        data_root: Folder that holds the data set.
        image_size: Side of the images of folders in pixels, 32 or 224.
        hold_out: Training images held out for validation.
        few_shot: Training images kept of the others, the classes as equally often as can be.
        steps: Steps of the run; without minutes, its length.
        minutes: Length of the run in minutes; the learning rate then follows the clock.
        save_every: Steps between saves of the state.
        log_every: Steps between lines of the log.
        validate_every: Steps between evaluations on held-out images and networks; 0 for never.
        meta_batch: Networks in a step, over all processes.
        images: Images a network sees in a step.
        accumulate: Networks whose parameters are predicted at a time; fewer need less memory.
        optimizer: Optimiser of the hypernetwork.
        learning_rate: Peak of the schedule.
        weight_decay: Of the hypernetwork's weights.
        betas: Of adamw and adam.
        momentum: Of sgd.
        warmup: Share of the run over which the learning rate rises.
        schedule: Of the learning rate after that.
        clip: Largest norm of the gradient; inf for no limit.
        average: Decay of a moving average of the weights, which is validated and saved beside them.
        label_smoothing: Of the networks' cross-entropy.
        penalty: Weight of the sum of the predicted tensors' norms.
        penalty_form: Sum of norms, or of their squares.
        precision: Arithmetic of the target networks and the encoder.
        seed: Governs fresh weights, networks, images and augmentation.
        validation_networks: Networks in an evaluation on held-out images.
        max_nonfinite: Steps in a row without a finite gradient that end the run.
        shared_images: All networks of a step see the same images.
        augment: Random crops and mirroring.
        cudnn_depthwise: Depthwise convolutions on a GPU through cuDNN, which compiles each new shape for a second.
        split: Target networks: split of DeepNets-1M.
        channels: Target networks: widths that are accepted.
        max_cells: Target networks: most cells.
        max_nodes: Target networks: most nodes of a graph.
        max_parameters: Target networks: most parameters.
        max_megamacs: Target networks: most multiply-adds for an image, in millions.
        attention: Target networks: share of those with attention that is kept.
        batch_nodes: Target networks: most nodes of eight together.
        workers: Processes that prepare networks and graphs.
        image_workers: Processes that decode images of folders.
        skip_damaged: Damaged training images that are passed over, each with a warning that names it.
        num_classes: Classes of the hypernetwork.
        spatial: Height and width of the decoded kernels.
        max_channels: Channels that the decoder gives at once; of GHN-3 by default as many as hidden.
        layers: Layers of the encoder (ablation).
        hidden: Width of node features (ablation).
        virtual_edges: GHN-2: messages along shortest paths (ablation).
        forward_edges: GHN-3: attention sees distances along the edges (ablation).
        backward_edges: GHN-3: attention sees distances against the edges (ablation).
        centrality: GHN-3: degree embeddings (ablation).
        input_distance: GHN-3: embedding of the distance from the input (ablation).
        centered_crop: Kernels are cut from the centre of the decoded window (ablation).
        device: cpu or cuda; None for CUDA where there is any.
        quiet: No progress bar.
    """

    run: Annotated[Positional[str | None], arg(metavar="RUN")] = None
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FOLDER")] = None
    start_from: Annotated[str | None, arg(metavar="HYPERNETWORK")] = None
    data: Annotated[str | None, arg(metavar="NAME")] = None
    data_root: Annotated[str | None, arg(metavar="FOLDER")] = None
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    hold_out: Annotated[int | None, arg(metavar="N")] = None
    few_shot: Annotated[int | None, arg(metavar="N")] = None
    steps: Annotated[int | None, arg(metavar="N")] = None
    minutes: Annotated[float | None, arg(metavar="MINUTES")] = None
    save_every: Annotated[int | None, arg(metavar="N")] = None
    log_every: Annotated[int | None, arg(metavar="N")] = None
    validate_every: Annotated[int | None, arg(metavar="N")] = None
    meta_batch: Annotated[int | None, arg(metavar="N")] = None
    images: Annotated[int | None, arg(metavar="N")] = None
    accumulate: Annotated[int | None, arg(metavar="N")] = None
    optimizer: Literal["adamw", "adam", "sgd"] | None = None
    learning_rate: Annotated[float | None, arg(metavar="RATE")] = None
    weight_decay: Annotated[float | None, arg(metavar="DECAY")] = None
    betas: Annotated[tuple[float, float] | None, arg(metavar="BETA1 BETA2")] = None
    momentum: Annotated[float | None, arg(metavar="SHARE")] = None
    warmup: Annotated[float | None, arg(metavar="SHARE")] = None
    schedule: Literal["cosine", "steps", "thirds", "constant"] | None = None
    clip: Annotated[float | None, arg(metavar="NORM")] = None
    average: Annotated[float | None, arg(metavar="DECAY")] = None
    label_smoothing: Annotated[float | None, arg(metavar="SHARE")] = None
    penalty: Annotated[float | None, arg(metavar="GAMMA")] = None
    penalty_form: Literal["norm", "squared"] | None = None
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    seed: Annotated[int | None, arg(metavar="N")] = None
    validation_networks: Annotated[int | None, arg(metavar="N")] = None
    max_nonfinite: Annotated[int | None, arg(metavar="N")] = None
    shared_images: bool | None = None
    augment: bool | None = None
    cudnn_depthwise: bool | None = None
    split: Annotated[str | None, arg(metavar="NAME")] = None
    channels: Annotated[tuple[int, ...] | None, arg(metavar="N...")] = None
    max_cells: Annotated[int | None, arg(metavar="N")] = None
    max_nodes: Annotated[int | None, arg(metavar="N")] = None
    max_parameters: Annotated[int | None, arg(metavar="N")] = None
    max_megamacs: Annotated[float | None, arg(metavar="M")] = None
    attention: Annotated[float | None, arg(metavar="SHARE")] = None
    batch_nodes: Annotated[int | None, arg(metavar="N")] = None
    workers: Annotated[int | None, arg(metavar="N")] = None
    image_workers: Annotated[int | None, arg(metavar="N")] = None
    skip_damaged: Annotated[int | None, arg(metavar="N")] = None
    num_classes: Annotated[int | None, arg(metavar="N")] = None
    spatial: Annotated[int | None, arg(metavar="N")] = None
    max_channels: Annotated[int | None, arg(metavar="N")] = None
    layers: Annotated[int | None, arg(metavar="N")] = None
    hidden: Annotated[int | None, arg(metavar="N")] = None
    virtual_edges: bool | None = None
    forward_edges: bool | None = None
    backward_edges: bool | None = None
    centrality: bool | None = None
    input_distance: bool | None = None
    centered_crop: bool | None = None
    device: Literal["cpu", "cuda"] | None = None
    quiet: bool = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    if options.run is None:
        _list()
        return
    if options.output is None:
        raise ValueError("no folder given for the run: add --output FOLDER")
    from ghn.meta.export import export
    from ghn.meta.run import train
    from ghn.training.ranks import RankLostError
    from ghn.training.trainer import NonFiniteError

    config, images = configured(options)
    try:
        trainer = train(config, options.output, device=options.device, quiet=options.quiet, images=images)
    except (RankLostError, NonFiniteError, OSError) as error:
        raise CommandError(str(error)) from error
    if trainer.ranks.is_first and trainer.progress >= 1:
        command = _command(options, trainer.ranks.world)
        brought = _brought_along(config, images)
        export(options.output, options.output / "hypernet", command=command, images=brought)
        if trainer.average is not None:
            export(options.output, options.output / "hypernet-averaged", command=command, averaged=True, images=brought)
        print(f"trained {trainer.step_count} steps; the hypernetwork is in {options.output / 'hypernet'}")


def _brought_along(config: MetaTrainingConfig, images: ImageSet | ImageFolder | None) -> ImageSet | None:
    """Training images from which batch-norm statistics of predicted networks are set; none of folders."""
    from ghn.checkpoint.images import COUNT
    from ghn.data import ImageSet
    from ghn.meta.images import training_images

    found = training_images(config) if images is None else images
    return found.few_shot(min(COUNT, len(found))) if isinstance(found, ImageSet) else None


def configured(options: Options) -> tuple[MetaTrainingConfig, ImageSet | ImageFolder | None]:
    """The named run's config with the options that were given, and what follows from them.

    Returns:
        The config, and the training images where they had to be opened for it.

    Raises:
        ValueError: When they do not fit together, or the data set is missing.
    """
    from dataclasses import replace

    from ghn.deepnets import Space
    from ghn.hypernet.config import GHNConfig
    from ghn.meta.config import MetaTrainingConfig
    from ghn.meta.runs import named_run

    assert options.run is not None
    config = named_run(options.run).config
    given = {name: value for name, value in vars(options).items() if value is not None}
    _check_switches(given, config.hypernet.encoder)
    if "minutes" in given:
        given.setdefault("steps", ENDLESS)
    elif "steps" in given:
        config = replace(config, minutes=None)
    if "hidden" in given and config.hypernet.max_channels == config.hypernet.hidden:
        given.setdefault("max_channels", given["hidden"])
    if "start_from" in given:
        from ghn.model import from_pretrained

        config = replace(config, hypernet=from_pretrained(given["start_from"]).config)
    if given.get("clip") == math.inf:
        config = replace(config, clip=None)
        del given["clip"]
    space: dict[str, Any] = {name: value for name, value in given.items() if name in _names(Space)}
    config = replace(config, space=replace(config.space, **space))
    changes: dict[str, Any] = {name: value for name, value in given.items() if name in _names(MetaTrainingConfig)}
    config = replace(config, **changes)
    images: ImageSet | ImageFolder | None = None
    if "data" in given:
        from ghn.meta.images import training_images

        images = training_images(config)
        given.setdefault("num_classes", len(images.classes))
        config = replace(config, image_size=given.get("image_size", images.image_size))
    hypernet: dict[str, Any] = {name: value for name, value in given.items() if name in _names(GHNConfig)}
    return replace(config, hypernet=replace(config.hypernet, **hypernet)), images


def _check_switches(given: Mapping[str, Any], encoder: str) -> None:
    """Refuse an ablation of what the encoder does not have."""
    for name, owner in SWITCHES.items():
        if name in given and owner != encoder:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} is a switch of the {owner} encoder; that of this run is {encoder}")


def _command(options: Options, processes: int) -> str:
    """The command that was given, without what says where files are."""
    start = ["ghn"] if processes == 1 else ["torchrun", "--nproc-per-node", str(processes), "-m", "ghn"]
    words = [*start, "train", str(options.run)]
    for field in fields(options):
        value = getattr(options, field.name)
        if value != field.default and field.name not in ("run", "output", "data_root", "quiet"):
            flag = field.name.replace("_", "-")
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return " ".join(words)


def _names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def _list() -> None:
    from ghn.cli.support.terminal import make_table, show
    from ghn.meta.runs import RUNS

    table = make_table("named runs", "name", "from", "time", "result")
    for name, entry in RUNS.items():
        table.add_row(name, entry.paper, entry.time, entry.result)
    show(table, "", "start one: ghn train NAME --output FOLDER")
