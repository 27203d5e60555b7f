"""`ghn train`: train a hypernetwork by a named recipe, or go on with a training."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from ghn.train.config import MetaTrainingConfig


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
        data: Data set: cifar10, cifar100, digits, imagenet, or folder.
        data_root: Folder that holds the data set.
        steps: Steps of the run.
        minutes: Length of the run in minutes; the learning rate then follows the clock.
        meta_batch: Networks in a step, over all processes.
        images: Images a network sees in a step.
        accumulate: Networks whose parameters are predicted at a time; fewer need less memory.
        learning_rate: Peak of the schedule.
        penalty: Weight of the sum of the predicted tensors' norms.
        penalty_form: Sum of norms, or of their squares.
        precision: Arithmetic of the target networks and the encoder.
        seed: Governs fresh weights, networks, images and augmentation.
        workers: Processes that prepare networks and graphs.
        image_workers: Processes that decode images of folders.
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
    data: Annotated[str | None, arg(metavar="NAME")] = None
    data_root: Annotated[str | None, arg(metavar="FOLDER")] = None
    steps: Annotated[int | None, arg(metavar="N")] = None
    minutes: Annotated[float | None, arg(metavar="MINUTES")] = None
    meta_batch: Annotated[int | None, arg(metavar="N")] = None
    images: Annotated[int | None, arg(metavar="N")] = None
    accumulate: Annotated[int | None, arg(metavar="N")] = None
    learning_rate: Annotated[float | None, arg(metavar="RATE")] = None
    penalty: Annotated[float | None, arg(metavar="GAMMA")] = None
    penalty_form: Literal["norm", "squared"] | None = None
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    seed: Annotated[int | None, arg(metavar="N")] = None
    workers: Annotated[int | None, arg(metavar="N")] = None
    image_workers: Annotated[int | None, arg(metavar="N")] = None
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
    from ghn.train.export import export
    from ghn.train.run import train

    config = configured(options)
    trainer = train(config, options.output, device=options.device, quiet=options.quiet)
    if trainer.ranks.is_first and trainer.progress >= 1:
        export(options.output, options.output / "hypernet", command=_command(options, trainer.ranks.world))
        print(f"trained {trainer.step_count} steps; the hypernetwork is in {options.output / 'hypernet'}")


def configured(options: Options) -> MetaTrainingConfig:
    """The named run's config with the options that were given."""
    from dataclasses import replace

    from ghn.hypernet.config import GHNConfig
    from ghn.train.config import MetaTrainingConfig
    from ghn.train.runs import named_run

    assert options.run is not None
    config = named_run(options.run).config
    given = {name: value for name, value in vars(options).items() if value is not None}
    hypernet: dict[str, Any] = {name: value for name, value in given.items() if name in _names(GHNConfig)}
    changes: dict[str, Any] = {name: value for name, value in given.items() if name in _names(MetaTrainingConfig)}
    return replace(config, **changes, hypernet=replace(config.hypernet, **hypernet))


def _command(options: Options, processes: int) -> str:
    """The command that was given, without what says where files are."""
    start = ["ghn"] if processes == 1 else ["torchrun", "--nproc-per-node", str(processes), "-m", "ghn"]
    words = [*start, "train", str(options.run)]
    for field in fields(options):
        value = getattr(options, field.name)
        if value != field.default and field.name not in ("run", "output", "data_root", "quiet"):
            flag = field.name.replace("_", "-")
            words += [f"--{flag}", str(value)]
    return " ".join(words)


def _names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def _list() -> None:
    from ghn.cli.terminal import make_table, show
    from ghn.train.runs import RUNS

    table = make_table("named runs", "name", "from", "time", "result")
    for name, entry in RUNS.items():
        table.add_row(name, entry.paper, entry.time, entry.result)
    show(table, "", "start one: ghn train NAME --output FOLDER")
