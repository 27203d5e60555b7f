"""`ghn train`: train a hypernetwork by a named recipe, or go on with a training."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional

from ghn.cli.support.errors import CommandError
from ghn.cli.support.options import SEED, DataRoot, Device, Json, Quiet, option
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

if TYPE_CHECKING:
    from ghn.data import ImageFolder, ImageSet
    from ghn.meta.config import MetaTrainingConfig
    from ghn.training.trainer import Trainer

ENDLESS = 10**9
"""Steps of a run that is to last some minutes."""

SWITCHES = {"virtual_edges": "gated_gnn"} | dict.fromkeys(
    ("forward_edges", "backward_edges", "centrality", "input_distance"), "graphormer"
)
"""Ablation switches, and the encoder that has them."""


RENAMED = {"--folder": "--output"}


def of_run(metavar: str, help: str | None = None) -> Any:
    """An option whose default is the named run's, which the help shows where a run is named."""
    return option(metavar, default=lambda text: "the run's" if text == "None" else text, help=help)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a hypernetwork by a named run, or go on with one that was stopped.

    The folder receives config.json, log.jsonl, state.pt (all it takes to go on)
    and, at the end, the hypernetwork in hypernet/, which --ghn takes.

    Under torchrun, processes share the networks.

    `ghn train RUN --help` says what a run is, with its own defaults.

    Attributes:
        run: Name of the run.
        output: Folder of the run.
        start_from: Hypernetwork whose weights the run starts from: a name or folder, as --ghn takes.
        data: Data set: cifar10, cifar100, digits, imagenet, or folder; the hypernetwork gets its number of classes.
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
        validation_networks: Networks in an evaluation on held-out images.
        adapt_steps: Steps of SGD after which these are evaluated too, also from random weights; 0 for none.
        adapt_rates: Learning rates of these steps, of which the best counts.
        select_by: Validation that decides on the weights saved in hypernet-best/: at once, or after these steps.
        max_nonfinite: Steps in a row without a finite gradient that end the run.
        shared_images: All networks of a step see the same images.
        initialization: Scale of the weights that a fresh hypernetwork predicts.
        inner_steps: Steps of SGD on predicted weights, after which a network's loss counts too; 0 for none.
        inner_rate: Learning rate of these steps.
        inner_share: Weight of the loss after them, 0 to 1.
        weight_noise: Noise on predicted weights while training, over each tensor's root mean square.
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
    """

    run: Annotated[Positional[str | None], option("RUN", default="list them")] = None
    output: Annotated[Path | None, option("FOLDER", default="none", short="-o")] = None
    start_from: Annotated[str | None, option("NAME|PATH", default="none")] = None
    data: Annotated[str | None, of_run("NAME")] = None
    data_root: DataRoot = None
    image_size: Annotated[int | None, of_run("PIXELS")] = None
    hold_out: Annotated[int | None, of_run("N")] = None
    few_shot: Annotated[int | None, of_run("N")] = None
    steps: Annotated[int | None, of_run("N")] = None
    minutes: Annotated[float | None, of_run("MINUTES")] = None
    save_every: Annotated[int | None, of_run("N")] = None
    log_every: Annotated[int | None, of_run("N")] = None
    validate_every: Annotated[int | None, of_run("N")] = None
    meta_batch: Annotated[int | None, of_run("N")] = None
    images: Annotated[int | None, of_run("N")] = None
    accumulate: Annotated[int | None, of_run("N")] = None
    optimizer: Annotated[Literal["adamw", "adam", "sgd"] | None, of_run("adamw|adam|sgd")] = None
    learning_rate: Annotated[float | None, of_run("RATE")] = None
    weight_decay: Annotated[float | None, of_run("DECAY")] = None
    betas: Annotated[tuple[float, float] | None, of_run("BETA1 BETA2")] = None
    momentum: Annotated[float | None, of_run("SHARE")] = None
    warmup: Annotated[float | None, of_run("SHARE")] = None
    schedule: Annotated[
        Literal["cosine", "steps", "thirds", "constant"] | None, of_run("cosine|steps|thirds|constant")
    ] = None
    clip: Annotated[float | None, of_run("NORM")] = None
    average: Annotated[float | None, of_run("DECAY")] = None
    label_smoothing: Annotated[float | None, of_run("SHARE")] = None
    penalty: Annotated[float | None, of_run("GAMMA")] = None
    penalty_form: Annotated[Literal["norm", "squared"] | None, of_run("norm|squared")] = None
    precision: Annotated[Literal["float32", "bfloat16", "float16"] | None, of_run("float32|bfloat16|float16")] = None
    seed: Annotated[int | None, of_run("N", help=SEED)] = None
    validation_networks: Annotated[int | None, of_run("N")] = None
    max_nonfinite: Annotated[int | None, of_run("N")] = None
    adapt_steps: Annotated[int | None, of_run("N")] = None
    adapt_rates: Annotated[tuple[float, ...] | None, of_run("RATE...")] = None
    select_by: Annotated[Literal["accuracy", "adapted"] | None, of_run("accuracy|adapted")] = None
    shared_images: Annotated[bool | None, of_run("True|False")] = None
    initialization: Annotated[Literal["published", "variance"] | None, of_run("published|variance")] = None
    inner_steps: Annotated[int | None, of_run("N")] = None
    inner_rate: Annotated[float | None, of_run("RATE")] = None
    inner_share: Annotated[float | None, of_run("SHARE")] = None
    weight_noise: Annotated[float | None, of_run("SHARE")] = None
    augment: Annotated[bool | None, of_run("True|False")] = None
    cudnn_depthwise: Annotated[bool | None, of_run("True|False")] = None
    split: Annotated[str | None, of_run("NAME")] = None
    channels: Annotated[tuple[int, ...] | None, of_run("N...")] = None
    max_cells: Annotated[int | None, of_run("N")] = None
    max_nodes: Annotated[int | None, of_run("N")] = None
    max_parameters: Annotated[int | None, of_run("N")] = None
    max_megamacs: Annotated[float | None, of_run("M")] = None
    attention: Annotated[float | None, of_run("SHARE")] = None
    batch_nodes: Annotated[int | None, of_run("N")] = None
    workers: Annotated[int | None, of_run("N")] = None
    image_workers: Annotated[int | None, of_run("N")] = None
    skip_damaged: Annotated[int | None, of_run("N")] = None
    num_classes: Annotated[int | None, of_run("N")] = None
    spatial: Annotated[int | None, of_run("N")] = None
    max_channels: Annotated[int | None, of_run("N")] = None
    layers: Annotated[int | None, of_run("N")] = None
    hidden: Annotated[int | None, of_run("N")] = None
    virtual_edges: Annotated[bool | None, of_run("True|False")] = None
    forward_edges: Annotated[bool | None, of_run("True|False")] = None
    backward_edges: Annotated[bool | None, of_run("True|False")] = None
    centrality: Annotated[bool | None, of_run("True|False")] = None
    input_distance: Annotated[bool | None, of_run("True|False")] = None
    centered_crop: Annotated[bool | None, of_run("True|False")] = None
    device: Device = None
    quiet: Quiet = False
    json: Json = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    if options.run is None:
        _list(as_json=options.json)
        return
    if options.output is None:
        from ghn.meta.runs import named_run

        named_run(options.run)  # a misspelt name is the first thing to say
        raise ValueError("no folder given for the run: add --output FOLDER")
    from ghn.cli.support.files import check_keeps

    check_keeps(options.output)
    first = int(os.environ.get("RANK", "0")) == 0
    with Bar("loading libraries", quiet=options.quiet or not first) as bar:
        from ghn.common.devices import chosen_device
        from ghn.meta.run import train
        from ghn.training.ranks import RankLostError
        from ghn.training.trainer import NonFiniteError

        device = chosen_device(options.device, "--device")
        config, images = configured(options)
        try:
            trainer = train(config, options.output, device=device, bar=bar, images=images)
        except (RankLostError, NonFiniteError, OSError) as error:
            raise CommandError(str(error)) from error
        if trainer.ranks.is_first and trainer.progress >= 1:
            with bar.step("writing the hypernetwork"):
                _export(options, trainer, _brought_along(config, images))
    if trainer.ranks.is_first:
        _tell(options, trainer)
    if trainer.stop_requested and trainer.progress < 1:
        raise KeyboardInterrupt


def _export(options: Options, trainer: Trainer[Any], images: ImageSet | None) -> None:
    """Write what was trained, as `--ghn` takes it."""
    from ghn.meta.export import export
    from ghn.meta.stepper import MetaStepper

    assert options.output is not None
    command = _command(options, trainer.ranks.world)
    export(options.output, options.output / "hypernet", command=command, images=images)
    if trainer.average is not None:
        export(options.output, options.output / "hypernet-averaged", command=command, averaged=True, images=images)
    stepper = trainer.stepper
    if isinstance(stepper, MetaStepper) and stepper.config.select_by and stepper.best["weights"]:
        export(options.output, options.output / "hypernet-best", command=command, best=True, images=images)


def _tell(options: Options, trainer: Trainer[Any]) -> None:
    from ghn.cli.support.terminal import show

    assert options.output is not None
    ended, hypernet = trainer.progress >= 1, options.output / "hypernet"
    if options.json:
        steps = {"run": options.run, "steps": trainer.step_count, "ended": ended, "skipped": trainer.skipped}
        print_json({**steps, "hypernetwork": str(hypernet) if ended else None})
    elif ended and not options.quiet:
        show(f"trained {trainer.step_count:,} steps; the hypernetwork is in {hypernet}")
        show(f"use it: ghn predict MODEL -o FILE --ghn {hypernet}")


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
        if value != field.default and field.name not in ("run", "output", "data_root", "quiet", "json"):
            flag = field.name.replace("_", "-")
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return " ".join(words)


def _names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def _list(*, as_json: bool) -> None:
    from ghn.cli.support.terminal import make_table, show

    with Bar("loading libraries", quiet=as_json):
        from ghn.meta.runs import RUNS
    if as_json:
        facts = ("paper", "command", "time", "result")
        print_json({name: {fact: getattr(run, fact) for fact in facts} for name, run in RUNS.items()})
        return
    table = make_table("named runs", "name", "data", "steps", "takes", right=("steps",))
    for name, entry in RUNS.items():
        table.add_row(name, entry.config.data, f"{entry.config.steps:,}", entry.time.partition(";")[0])
    show(table, "", "what one is, and its settings: ghn train NAME --help", "start one: ghn train NAME --output FOLDER")


def described(words: Sequence[str]) -> tuple[Options, str] | None:
    """What `--help` says beside a run's name: the options with the run's values, and what the run is."""
    if all(word.startswith("-") for word in words):
        return None
    with Bar("loading libraries"):
        from ghn.meta.runs import RUNS
    name = next((word for word in words if word in RUNS), None)
    if name is None:
        return None
    entry = RUNS[name]
    values: dict[str, Any] = {}
    for settings in (entry.config.hypernet, entry.config.space, entry.config):
        values |= {field.name: getattr(settings, field.name) for field in fields(settings)}
    known = {field.name for field in fields(Options)} - {"output", "data_root", "start_from"}
    text = f"{name}: {entry.paper}.\n\nTime: {entry.time}.\n\nResult: {entry.result}.\n\n{entry.command}"
    return Options(run=name, **{name: value for name, value in values.items() if name in known}), text
