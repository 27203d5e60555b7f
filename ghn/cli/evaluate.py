"""`ghn evaluate`: accuracy of networks at once, predicted or from any other start, without any training of these."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional

from ghn.cli.support.errors import CommandError
from ghn.cli.support.hypernetworks import DEFAULT_HYPERNETWORK, chosen_name
from ghn.cli.support.options import (
    GHN,
    Data,
    DataRoot,
    Device,
    Folder,
    Force,
    Json,
    Output,
    Quiet,
    Seed,
    check_seed,
    check_seen,
    option,
    switch,
)
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

if TYPE_CHECKING:
    from ghn.evaluate import Evaluation, EvaluationConfig, NetworkResult

SPLITS = {"test": 100, "wide": 20, "deep": 20, "dense": 20, "bnfree": 20}

PREDEFINED = (
    "Leave out ResNet-50 and a vision transformer, which are evaluated beside the splits (with --models only where "
    "splits are asked for too)."
)
RENAMED = {"--images": "--test-images"}

LONGEST_WAIT = 30 * 24 * 3600.0
"""Seconds that a process waits for the others, whose networks may take longer."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run networks on test images, without training.

    Their parameters are predicted, or come from any other start.

    Batch norms use the statistics of batches of 64 test images, or running ones.

    Under torchrun, processes share the networks.

    Attributes:
        models: Models by name, as `ghn predict` takes them, several or separated by commas: resnet18,
            timm:regnety_004, file.py:factory, each with options of its constructor: NAME,option=value.
        init: Where the parameters come from, several or separated by commas: chains of initialisers (docs/starts.md),
            e.g. ghn,default,default+calibrate; ghn is the hypernetwork above.
        image_size: Side in pixels of what the networks see.
        test: Networks of the split test, in the distribution of the training networks.
        wide: Networks of the split wide, with more channels.
        deep: Networks of the split deep, with more cells.
        dense: Networks of the split dense, with larger cells.
        bnfree: Networks of the split bnfree, without batch norms.
        metadata: Published JSON file (deepnets1m_eval_meta.json) to take the networks from.
        batch_norm: Batch norms use the statistics of the batch of test images, or the running ones that the start sets.
        calibration_images: Training images for starts that need some.
        test_images: Test images for each network, other ones for each; at most as many as there are.
        image_workers: Processes that decode images of folders.
        output: A .json file for the results of each network.
    """

    hypernetwork: Annotated[
        Positional[str | None], option("NAME|PATH", default=DEFAULT_HYPERNETWORK, help=f"The hypernetwork: {GHN}")
    ] = None
    ghn: Annotated[str | None, option("NAME|PATH", default="none", help="The same, as other commands take it.")] = None
    models: Annotated[tuple[str, ...], option("MODEL...", default="none")] = ()
    init: Annotated[tuple[str, ...], option("START...")] = ("ghn",)
    data: Data = "cifar10"
    data_root: DataRoot = None
    image_size: Annotated[int | None, option("PIXELS", default="the data set's, 224 for folders")] = None
    test: Annotated[int | None, option("N", default="100, with --models none")] = None
    wide: Annotated[int | None, option("N", default="20, with --models none")] = None
    deep: Annotated[int | None, option("N", default="20, with --models none")] = None
    dense: Annotated[int | None, option("N", default="20, with --models none")] = None
    bnfree: Annotated[int | None, option("N", default="20, with --models none")] = None
    metadata: Annotated[str | None, option("FILE", default="drawn")] = None
    predefined: Annotated[bool, switch(PREDEFINED)] = True
    batch_norm: Literal["batch", "running"] = "batch"
    calibration_images: Annotated[int, option("N")] = 512
    test_images: Annotated[int | None, option("N", default="all")] = None
    image_workers: Annotated[int, option("N")] = 0
    seed: Seed = 0
    folder: Folder = None
    output: Output = None
    force: Force = False
    device: Device = None
    quiet: Quiet = False
    json: Json = False

    def __post_init__(self) -> None:
        if self.hypernetwork is not None and self.ghn is not None:
            raise ValueError(f"two hypernetworks are given, {self.hypernetwork} and --ghn {self.ghn}; leave out one")
        check_seed(self.seed)

    @property
    def name(self) -> str:
        """The hypernetwork that was asked for."""
        return self.hypernetwork or self.ghn or DEFAULT_HYPERNETWORK


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
        CommandError: If networks failed; the others are shown and saved.
        KeyboardInterrupt: When it was interrupted; what there is was shown and saved.
    """
    from ghn.cli.support.files import check_results

    output = [] if options.output is None else [options.output]
    check_seen(quiet=options.quiet, json=options.json, kept=bool(output or options.folder))
    check_results(output, (".json",), force=options.force, folder=options.folder)
    # Off a terminal a bar is a line for each network, which whoever wants JSON does not expect.
    silent = options.quiet or _rank() > 0 or (options.json and not sys.stderr.isatty())
    with Bar("loading libraries", quiet=silent) as bar:
        evaluation, ended_by = _evaluated(options, chosen_name(options.name), bar)
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
    from ghn.common.devices import chosen_device
    from ghn.evaluate import evaluate
    from ghn.evaluate.run import evaluation_of
    from ghn.training.ranks import RankLostError, Ranks
    from ghn.training.state import StateError

    config = configured(options, name)
    device = chosen_device(options.device, "--device")
    done: list[NetworkResult] = []
    try:
        with Ranks.from_environment(device, timeout=LONGEST_WAIT) as ranks:
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
        images=options.test_images,
        image_workers=options.image_workers,
        seed=options.seed,
    )


def _report(options: Options, evaluation: Evaluation) -> None:
    """Save and show what there is."""
    from ghn.cli.support.files import replaced

    record = {"command": "evaluate", "hypernetwork_name": options.name, **evaluation.to_dict()}
    text = json.dumps(record, indent=2)
    if options.output is not None:
        with replaced(options.output) as file:
            file.write_text(text + "\n", encoding="utf-8")
    if options.json:
        print_json(record)
    elif not options.quiet:
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
