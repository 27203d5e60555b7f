"""`ghn finetune`: train a model from a start, and save its whole state as safetensors."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ghn.cli.support.errors import CommandError
from ghn.cli.support.options import (
    GENTLER,
    RATES,
    Data,
    DataRoot,
    Device,
    Folder,
    Force,
    Json,
    Model,
    Output,
    Quiet,
    Seed,
    check_seed,
    check_seen,
    option,
)
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

if TYPE_CHECKING:
    from torch import nn

    from ghn.finetuning import Data as OpenedData
    from ghn.finetuning import FinetuneConfig, FinetuneResult


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a model on images from a start, with the best of several learning rates.

    The model is built for the classes and the size of the images.

    Under torchrun, processes share each batch.

    The result is saved beside the weights, as FILE with .finetune.json.

    Attributes:
        init: The start: a chain of initialisers (see docs/starts.md), e.g. ghn:ghn3-t-cifar10+calibrate.
        output: The .safetensors file to write, which load_state_dict takes. Averaged weights go beside it, as FILE with
            .averaged.safetensors.
        steps: Steps of the training with each learning rate.
        epochs: Passes over the training images.
        learning_rates: Each is tried from the same start, the best on held-out images is kept.
        batch_size: Images in a step.
        image_size: Side of the images in pixels.
        optimizer: sgd, adamw, adam, or any other of timm's (lamb, lion, ...).
        schedule: Of the learning rate, after warm-up.
        warmup: Share of the run over which the learning rate rises.
        weight_decay: Of all parameters.
        momentum: Of sgd and others that have one.
        betas: Of adamw, adam and others that have two.
        clip: Largest norm of the gradient; inf for no limit.
        label_smoothing: Of the cross-entropy.
        average: Decay of a moving average of the weights, which is evaluated and saved too.
        augment: Of training images.
        mixup: Alpha of mixup; 0 for none.
        cutmix: Alpha of CutMix; 0 for none.
        noise: Standard deviation of noise on the start, which makes tiled copies different.
        precision: Arithmetic of the model in training.
        hold_out: Training images held out to choose the learning rate.
        few_shot: Training images that are kept of the others.
        test_images: Most test images of an evaluation.
        init_images: Training images that the start may use.
        validate_every: Steps between evaluations, besides those at the start and the end; 0 for these only.
        save_every: Steps between saves in the folder.
        log_every: Steps between lines of the log.
        max_nonfinite: Non-finite steps in a row that end the training with a learning rate.
        minutes: Length of the training with each learning rate in minutes; the steps are the most then.
        image_workers: Processes that decode images of folders.
        skip_damaged: Damaged images that are passed over, each with a warning that names it.
    """

    model: Model
    init: Annotated[str | None, option("CHAIN", default="the model's own initialisation")] = None
    data: Data = "digits"
    output: Output = None
    force: Force = False
    folder: Folder = None
    steps: Annotated[int | None, option("N", default="as many as the epochs make")] = None
    epochs: Annotated[float, option("E")] = 1.0
    learning_rates: Annotated[tuple[float, ...] | None, option("RATE...", default=RATES)] = None
    batch_size: Annotated[int, option("N")] = 64
    image_size: Annotated[int | None, option("PIXELS", default="the data set's, 224 for folders")] = None
    optimizer: Annotated[str, option("NAME")] = "sgd"
    schedule: Literal["cosine", "steps", "thirds", "constant"] = "cosine"
    warmup: Annotated[float, option("SHARE")] = 0.0
    weight_decay: Annotated[float, option("DECAY")] = 3e-5
    momentum: Annotated[float, option("SHARE")] = 0.9
    betas: Annotated[tuple[float, float], option("BETA1 BETA2")] = (0.9, 0.999)
    clip: Annotated[float | None, option("NORM")] = 5.0
    label_smoothing: Annotated[float, option("SHARE")] = 0.0
    average: Annotated[float | None, option("DECAY", default="none")] = None
    augment: Literal["crop", "randaugment", "trivialaugment", "none"] = "crop"
    mixup: Annotated[float, option("ALPHA")] = 0.0
    cutmix: Annotated[float, option("ALPHA")] = 0.0
    noise: Annotated[float, option("BETA")] = 1e-5
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    hold_out: Annotated[int | None, option("N", default="a tenth, at most 5,000")] = None
    few_shot: Annotated[int | None, option("N", default="all")] = None
    test_images: Annotated[int | None, option("N", default="all")] = None
    init_images: Annotated[int, option("N")] = 512
    validate_every: Annotated[int, option("N")] = 0
    save_every: Annotated[int, option("N")] = 200
    log_every: Annotated[int, option("N")] = 10
    max_nonfinite: Annotated[int, option("N")] = 1
    minutes: Annotated[float | None, option("MINUTES", default="no limit")] = None
    image_workers: Annotated[int, option("N")] = 0
    skip_damaged: Annotated[int, option("N")] = 0
    data_root: DataRoot = None
    seed: Seed = 0
    device: Device = None
    quiet: Quiet = False
    json: Json = False

    def __post_init__(self) -> None:
        check_seed(self.seed)

    @property
    def record_file(self) -> Path:
        """Where the result is written, if there is an output."""
        assert self.output is not None
        return self.output.with_suffix(".finetune.json")

    @property
    def averaged_file(self) -> Path:
        """Where averaged weights are written, if there is an output."""
        assert self.output is not None
        return self.output.with_suffix(".averaged.safetensors")


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
        CommandError: When another process of the run has gone, or the last state could not be saved.
        KeyboardInterrupt: When it was asked to stop; says whether and how to go on.
    """
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        _check_outputs(options)
    with Bar("loading libraries", quiet=options.quiet or not first) as bar:
        import torch

        from ghn.common.devices import chosen_device
        from ghn.finetuning import FinetuneConfig, open_data
        from ghn.initializers import create

        device = chosen_device(options.device, "--device")
        config = FinetuneConfig(**_settings(options, FinetuneConfig))
        if config.init is not None:
            create(config.init)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            with bar.step(f"opening {options.data}"):
                data = open_data(config.data, config)
            model = _model(options, data, bar)
            result = _trained(options, model, data, config, device, bar)
    if first:
        _tell(options, model, data, result)


def _check_outputs(options: Options) -> None:
    from ghn.cli.support.files import check_keeps, check_results

    check_seen(quiet=options.quiet, json=options.json, kept=bool(options.output or options.folder))
    check_keeps(options.folder)
    if options.output is not None:
        weights = [options.output, *([options.averaged_file] if options.average is not None else [])]
        check_results(weights, (".safetensors",), force=options.force, folder=options.folder)
        check_results([options.record_file], (".json",), force=options.force, folder=options.folder)


def _settings(options: Options, kind: type[FinetuneConfig]) -> dict[str, Any]:
    given = {entry.name: getattr(options, entry.name) for entry in fields(kind) if hasattr(options, entry.name)}
    if options.steps is not None and options.steps < 1:
        raise ValueError(f"--steps must be at least 1, not {options.steps}")
    return given | {"clip": None if given["clip"] == math.inf else given["clip"], "steps": options.steps or 0}


def _model(options: Options, data: OpenedData, bar: Bar) -> nn.Module:
    """The model for these images, with its own initialisation."""
    from ghn.cli.support.models import requested_model
    from ghn.zoo import build_model

    request = requested_model(options.model, num_classes=len(data.classes), image_size=data.image_size)
    with bar.step(f"building {options.model}"):
        return build_model(request).model


def _trained(
    options: Options, model: nn.Module, data: OpenedData, config: FinetuneConfig, device: str, bar: Bar
) -> FinetuneResult:
    from ghn.finetuning import finetune
    from ghn.training.ranks import RankLostError
    from ghn.training.signals import StoppedError

    try:
        return finetune(model, data, config, folder=options.folder, device=device, bar=bar)
    except StoppedError as error:
        raise KeyboardInterrupt(f"{error}; it is saved in {options.folder}, and the same command goes on") from error
    except KeyboardInterrupt:
        if options.folder is not None:
            hint = f"what was saved in {options.folder} stays, and the same command goes on"
        else:
            hint = "nothing was saved; with --folder RUN it can go on"
        raise KeyboardInterrupt(hint) from None
    except (RankLostError, OSError) as error:
        raise CommandError(str(error)) from error


def _tell(options: Options, model: nn.Module, data: OpenedData, result: FinetuneResult) -> None:
    """Write and show the result."""
    record = _record(options, data, result)
    if options.output is not None:
        _write(options, options.output, model, record, result)
    if options.json:
        print_json(record)
    elif not options.quiet:
        _show(options, data, result)


def _record(options: Options, data: OpenedData, result: FinetuneResult) -> dict[str, Any]:
    """What is saved beside the weights."""
    from importlib.metadata import version

    given = {entry.name: getattr(options, entry.name) for entry in fields(options)}
    return {
        "command": "finetune",
        "version": version("ghn"),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in given.items()},
        "data": {
            "name": data.name,
            "classes": list(data.classes),
            "image_size": data.image_size,
            "training_images": len(data.train),
            "test_images": len(data.test),
        },
        "result": result.to_dict(),
    }


def _write(options: Options, output: Path, model: nn.Module, record: dict[str, Any], result: FinetuneResult) -> None:
    from ghn.cli.support.files import separate, write_weights

    outputs = {output: separate(model.state_dict())}
    if result.averaged is not None:
        outputs[options.averaged_file] = separate(result.averaged)
    write_weights(outputs, {"model": options.model, "data": options.data}, record, options.record_file)


def _show(options: Options, data: OpenedData, result: FinetuneResult) -> None:
    from ghn.cli.support.terminal import make_table, show

    numbers = ("learning rate", "steps", "at the start", "at the end")
    table = make_table(f"{options.model} on {data.name}, test accuracy", "start", *numbers, right=numbers)
    accuracies = [f"{100 * point.accuracy:.1f} %" for point in (result.history[0], result.history[-1])]
    start = "its own initialisation" if options.init is None else options.init
    table.add_row(start, f"{result.learning_rate:g}", f"{result.steps:,}", *accuracies)
    averaged = result.history[-1].averaged
    if averaged is not None:
        table.add_row("averaged weights", "", "", "", f"{100 * averaged:.1f} %")
    what = "held-out images right" if result.history[-1].validation is not None else "minus the training loss"
    tried = ", ".join(f"{rate:g}: {score:.3f}" for rate, score in result.scores.items())
    lines = [] if len(result.scores) == 1 else [f"learning rates by {what}: {tried}"]
    if result.history[-1].accuracy < result.history[0].accuracy:
        lines.append(f"the training lost what the start had; {GENTLER}")
    lines.append(f"{result.seconds:.1f} s")
    if options.output is not None:
        lines.append(f"{options.output}: load it with model.load_state_dict(safetensors.torch.load_file(...))")
    show(table, "", *lines)
