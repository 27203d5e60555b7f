"""`ghn evaluate`: accuracy of networks at once, predicted or from any other start, without any training of these."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from ghn.cli.support.errors import CommandError
from ghn.cli.support.hypernetworks import DEFAULT_HYPERNETWORK, chosen_name

if TYPE_CHECKING:
    from ghn.cli.support.terminal import Bar
    from ghn.evaluate import Evaluation, EvaluationConfig, NetworkResult

SPLITS = {"test": 100, "wide": 20, "deep": 20, "dense": 20, "bnfree": 20}

LONGEST_WAIT = 30 * 24 * 3600.0
"""Seconds that a process waits for the others, whose networks may take longer."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run networks on test images, without training.

    Their parameters are predicted, or come from any other start.

    Batch norms use the statistics of batches of 64 test images, or running ones.

    Under torchrun, processes share the networks.

    Attributes:
        ghn: The hypernetwork: a bundled or published name (see `ghn info`), user/repo on the model hub, a folder or
            a file.
        models: Models by name, as `ghn predict` takes them, several or separated by commas: resnet18,
            timm:regnety_004, file.py:factory, each with options of its constructor: NAME,option=value.
        init: Where the parameters come from, several or separated by commas: chains of initialisers (docs/starts.md),
            e.g. ghn,default,default+calibrate; ghn is the hypernetwork above.
        data: Data set: cifar10, cifar100, digits, imagenet, or a folder of images that holds test/<class>/*.jpg or
            val/<class>/*.jpg, and train/<class>/*.jpg for starts that need images.
        data_root: Folder that holds the data set; None for the default.
        image_size: Side in pixels of what the networks see; None for that of the data set, 224 for folders.
        test: Networks of the split test, in the distribution of the training networks; None for 100, or with --models
            for none.
        wide: Networks of the split wide, with more channels; None for 20, or with --models for none.
        deep: Networks of the split deep, with more cells; None for 20, or with --models for none.
        dense: Networks of the split dense, with larger cells; None for 20, or with --models for none.
        bnfree: Networks of the split bnfree, without batch norms; None for 20, or with --models for none.
        metadata: Published JSON file (deepnets1m_eval_meta.json) to take the networks from; None draws them.
        predefined: Also evaluate ResNet-50 and a vision transformer; with --models only where splits are asked for too.
        batch_norm: Batch norms use the statistics of the batch of test images, or the running ones that the start sets.
        calibration_images: Training images for starts that need some.
        images: Test images for each network, other ones for each; None for all, at most as many as there are.
        image_workers: Processes that decode images of folders.
        seed: Governs their order, the initialisation of models, and what starts draw.
        folder: Keeps each network's result as soon as it is there (networks.jsonl); the same command goes on from
            there.
        output: A .json file for the results of each network.
        device: cpu, cuda or cuda:N; None for CUDA where there is any.
        quiet: No progress.
        json: Print JSON instead of a table.
    """

    ghn: Annotated[Positional[str], arg(metavar="NAME|PATH")] = DEFAULT_HYPERNETWORK
    models: Annotated[tuple[str, ...], arg(metavar="MODEL...")] = ()
    init: Annotated[tuple[str, ...], arg(metavar="START...")] = ("ghn",)
    data: Annotated[str, arg(metavar="NAME|FOLDER")] = "cifar10"
    data_root: Annotated[str | None, arg(metavar="FOLDER")] = None
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    test: Annotated[int | None, arg(metavar="N")] = None
    wide: Annotated[int | None, arg(metavar="N")] = None
    deep: Annotated[int | None, arg(metavar="N")] = None
    dense: Annotated[int | None, arg(metavar="N")] = None
    bnfree: Annotated[int | None, arg(metavar="N")] = None
    metadata: Annotated[str | None, arg(metavar="FILE")] = None
    predefined: bool = True
    batch_norm: Literal["batch", "running"] = "batch"
    calibration_images: Annotated[int, arg(metavar="N")] = 512
    images: Annotated[int | None, arg(metavar="N")] = None
    image_workers: Annotated[int, arg(metavar="N")] = 0
    seed: Annotated[int, arg(metavar="N")] = 0
    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    device: Annotated[str | None, arg(metavar="DEVICE")] = None
    quiet: bool = False
    json: bool = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
        CommandError: If networks failed; the others are shown and saved.
        KeyboardInterrupt: When it was interrupted; what there is was shown and saved.
    """
    from ghn.cli.support.files import check_writable
    from ghn.cli.support.terminal import Bar

    if options.output is not None:
        check_writable(options.output, (".json",))
    with Bar("loading libraries", quiet=options.quiet or options.json or _rank() > 0) as bar:
        evaluation, ended_by = _evaluated(options, chosen_name(options.ghn), bar)
    if evaluation is not None and _rank() == 0:
        _report(options, evaluation)
    if ended_by is not None:
        raise ended_by
    if evaluation is not None and evaluation.failed and _rank() == 0:
        first = evaluation.failed[0]
        count = f"{len(evaluation.failed)} of {len(evaluation.networks)} could not be evaluated"
        raise CommandError(f"{count}, e.g. {first.model} from {first.start}: {first.error}")


def _rank() -> int:
    """Number of this process, as torchrun says."""
    return int(os.environ.get("RANK", "0"))


def _evaluated(options: Options, name: str, bar: Bar) -> tuple[Evaluation | None, BaseException | None]:
    """The results, or what there is of them and what ended it: Ctrl-C, or an image that cannot be read."""
    from ghn.evaluate import evaluate
    from ghn.evaluate.run import evaluation_of
    from ghn.training.ranks import RankLostError, Ranks
    from ghn.training.state import StateError

    config = configured(options, name)
    device = _device(options.device)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    done: list[NetworkResult] = []
    try:
        with Ranks.from_environment(device.partition(":")[0] if several else device, timeout=LONGEST_WAIT) as ranks:
            bar.begin(len(range(ranks.rank, config.count, ranks.world)) * len(config.starts), "evaluating")

            def progress(result: NetworkResult) -> None:
                done.append(result)
                bar.advance(_line(result))

            return evaluate(None, config, progress=progress, folder=options.folder, ranks=ranks), None
    except (KeyboardInterrupt, RankLostError, ValueError) as error:
        if options.folder is not None and done:
            # Also what other processes have done, now and before.
            from ghn.evaluate.journal import read_finished

            with suppress(StateError):
                done = list(read_finished(options.folder).values())
        ended_by = CommandError(str(error)) if isinstance(error, RankLostError) else error
        return (evaluation_of(config, [], done) if done else None), ended_by


def _line(result: NetworkResult) -> str:
    found = f"{100 * result.top1:.1f} %" if result.error is None else f"failed: {result.error}"
    return f"{result.model} from {result.start}: {found}"


def configured(options: Options, name: str) -> EvaluationConfig:
    """What is to be evaluated.

    Args:
        options: As given.
        name: The hypernetwork that `ghn` stands for in a start.

    Raises:
        ValueError: If that cannot be.
    """
    from ghn.cli.support.models import look_in_current_folder
    from ghn.evaluate import EvaluationConfig
    from ghn.initializers.chain import NAMES
    from ghn.zoo.names import split_names

    look_in_current_folder()
    models = tuple(model for text in options.models for model in split_names(text))
    given = {split: getattr(options, split) for split in SPLITS}
    defaults = dict.fromkeys(SPLITS, 0) if models else SPLITS
    counts = {split: defaults[split] if count is None else count for split, count in given.items()}
    starts = tuple(start for text in options.init for start in split_names(text, NAMES))
    return EvaluationConfig(
        data=options.data,
        data_root=options.data_root,
        image_size=options.image_size,
        splits={split: count for split, count in counts.items() if count},
        metadata=options.metadata,
        predefined=options.predefined and (not models or any(counts.values())),
        models=models,
        starts=tuple(re.sub(r"^ghn(?=\+|$)", lambda _: f"ghn:{name}", start) for start in starts),
        calibration_images=options.calibration_images,
        batch_norm=options.batch_norm,
        images=options.images,
        image_workers=options.image_workers,
        seed=options.seed,
    )


def _device(name: str | None) -> str:
    """The device of that name; by default CUDA where there is any."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return "cuda" if count else "cpu"
    parts = re.fullmatch(r"cpu|cuda(?::([0-9]+))?", name)
    if parts is None:
        raise ValueError(f"--device must be cpu, cuda or cuda:N, not {name!r}")
    if name != "cpu" and int(parts[1] or 0) >= count:
        there = f"PyTorch finds only cuda:0 to cuda:{count - 1}" if count else "PyTorch finds no CUDA device"
        raise ValueError(f"--device {name}: {there}; choose another, or cpu")
    return name


def _report(options: Options, evaluation: Evaluation) -> None:
    """Save and show what there is."""
    from ghn.cli.support.files import replaced

    record = {"command": "evaluate", "hypernetwork_name": options.ghn, **evaluation.to_dict()}
    text = json.dumps(record, indent=2)
    if options.output is not None:
        with replaced(options.output) as file:
            file.write_text(text + "\n", encoding="utf-8")
    if options.json:
        print(text)
    else:
        _show(evaluation)


def _show(evaluation: Evaluation) -> None:
    from ghn.cli.support.terminal import make_table, show

    numbers = ("networks", "accuracy", "range")
    config = evaluation.config
    counts = sorted({result.images for result in evaluation.networks if result.error is None})
    images = " to ".join(f"{count:,}" for count in counts[:: max(1, len(counts) - 1)]) or "no"
    statistics = "statistics of the batch" if config.batch_norm == "batch" else "running statistics"
    title = f"{config.data}, {images} test images, batch norms by {statistics}, top-1 in per cent"
    table = make_table(title, "networks of", "start", *numbers, right=numbers)
    for row in evaluation.rows():
        table.add_row(*_cells(row))
    failed = [_line(result) for result in evaluation.failed]
    planned = config.count * len(config.starts)
    missing = [f"{len(evaluation.networks)} of {planned} done"] if len(evaluation.networks) < planned else []
    notes = [*failed, *missing]
    show(table, *(["", *notes] if notes else []))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if row["networks"] == 1:
        return row["split"], row["start"], "1", f"{row['mean']:.1f}", ""
    return (
        row["split"],
        row["start"],
        str(row["networks"]),
        f"{row['mean']:.1f} ± {row['std']:.1f}",
        f"{row['least']:.1f} to {row['most']:.1f}",
    )
