"""`ghn compare`: which start trains best, with equal budget and equal tuning."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from ghn.cli.support.errors import CommandError
from ghn.cli.support.options import (
    GENTLER,
    MODEL,
    RATES,
    Data,
    DataRoot,
    Device,
    Folder,
    Force,
    Json,
    Quiet,
    check_seen,
    option,
    switch,
)
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

if TYPE_CHECKING:
    from ghn.comparison import CompareConfig, Comparison, Row

NAME = 14
"""Characters of a start's name that the table has on one line."""

RENAMED = {"--evaluate-every": "--validate-every"}

EVALUATIONS = 8
"""Points of a curve between its ends."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a model from each of several starts, over several seeds.

    The table says which starts differ by more than the seeds do.

    Every start and seed gets the same images in the same order, as many steps,
    and the best of the same learning rates on held-out images.

    The same command with the same --folder goes on where it was stopped.

    Attributes:
        init: Starts, with commas or blanks between them, e.g. default,default+calibrate,ghn,ghn+calibrate; the
            others are compared with the first. See --list.
        image_size: Side in pixels that images get.
        few_shot: Training images that are kept, the classes as equally often as can be.
        steps: Steps of each training.
        seeds: Trainings of each start; one alone says nothing of the noise.
        batch_size: Images in a step.
        learning_rates: That are tried for every start and seed.
        optimizer: sgd, adam, adamw, or another one of timm's, e.g. lamb.
        weight_decay: Of the trained parameters.
        schedule: Of the learning rate.
        warmup: Share of the steps over which the learning rate rises.
        augment: Of training images: crop, randaugment, trivialaugment, or none.
        noise: Standard deviation of noise on every start's parameters (the paper's β).
        precision: Arithmetic of the networks.
        validate_every: Steps between the points of a curve.
        test_images: Most test images for each point.
        workers: Trainings at the same time, each in a process of its own.
        output: File for the results (.json) or the curves (.svg, .png, .pdf); several may be given.
        list: Only list the starts there are.
    """

    positional: Annotated[Positional[str | None], option("MODEL", default="none", help=MODEL)] = None
    model: Annotated[str | None, option("MODEL", default="none", help="The same.")] = None
    init: Annotated[tuple[str, ...], option("A,B,C")] = ("default", "ghn")
    data: Data = "digits"
    data_root: DataRoot = None
    image_size: Annotated[int | None, option("PIXELS", default="the data set's, 224 for folders")] = None
    few_shot: Annotated[int | None, option("N", default="all")] = None
    steps: Annotated[int, option("N")] = 200
    seeds: Annotated[int, option("K")] = 3
    batch_size: Annotated[int, option("N")] = 64
    learning_rates: Annotated[tuple[float, ...] | None, option("RATE...", default=RATES)] = None
    optimizer: Annotated[str, option("NAME")] = "sgd"
    weight_decay: Annotated[float, option("DECAY")] = 3e-5
    schedule: Literal["cosine", "steps", "thirds", "constant"] = "cosine"
    warmup: Annotated[float, option("SHARE")] = 0.0
    augment: Literal["crop", "randaugment", "trivialaugment", "none"] = "crop"
    noise: Annotated[float, option("BETA")] = 1e-5
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    validate_every: Annotated[int | None, option("N", default="an eighth of the steps")] = None
    test_images: Annotated[int | None, option("N", default="all")] = None
    folder: Folder = None
    workers: Annotated[int, option("N")] = 1
    device: Device = None
    output: Annotated[tuple[Path, ...], option("FILE...", default="none", short="-o")] = ()
    force: Force = False
    list: Annotated[bool, switch()] = False
    json: Json = False
    quiet: Quiet = False

    def __post_init__(self) -> None:
        if self.positional is not None and self.model is not None:
            raise ValueError(f"two models are given, {self.positional} and --model {self.model}; leave out one")

    @property
    def name(self) -> str | None:
        """The model that was asked for."""
        return self.positional or self.model


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    if options.list:
        _list(options)
        return
    if options.name is None:
        raise ValueError("no model given: ghn compare MODEL, e.g. ghn compare resnet18")
    from ghn.cli.support.files import check_results

    check_seen(quiet=options.quiet, json=options.json, kept=bool(options.output or options.folder))
    check_results(options.output, (".json", ".svg", ".png", ".pdf"), force=options.force, folder=options.folder)
    with Bar("loading libraries", quiet=options.quiet) as bar:
        from ghn.cli.support.models import look_in_current_folder
        from ghn.common.devices import chosen_device
        from ghn.comparison import compare
        from ghn.comparison.run import InterruptedComparisonError

        look_in_current_folder()
        config = configured(options)
        try:
            found = compare(
                config,
                options.folder,
                workers=options.workers,
                device=chosen_device(options.device, "--device"),
                bar=bar,
            )
        except InterruptedComparisonError as error:
            bar.close()
            _give(options, error.partial)
            text = str(error)
            if options.folder is None:
                text = f"{text.partition(';')[0]}, of which nothing is kept; with --folder it could go on"
            raise KeyboardInterrupt(text) from error
        except (RuntimeError, OSError) as error:
            raise CommandError(str(error)) from error
    _give(options, found)


def configured(options: Options) -> CompareConfig:
    """The comparison that the options ask for.

    Raises:
        ValueError: When they do not fit together.
    """
    from ghn.comparison import CompareConfig
    from ghn.finetuning import FinetuneConfig
    from ghn.zoo.names import split_names

    names = {field.name for field in fields(FinetuneConfig)}
    names -= {"init", "validate_every"}
    given = {name: value for name, value in vars(options).items() if name in names}
    if options.steps < 1:
        raise ValueError(f"--steps must be at least 1, not {options.steps}")
    every = options.validate_every or max(1, math.ceil(options.steps / EVALUATIONS))
    training = FinetuneConfig(**given, validate_every=every, log_every=max(1, options.steps // 20))
    assert options.name is not None
    inits = tuple(chain for text in options.init for chain in split_names(text))
    return CompareConfig(model=options.name, inits=inits, seeds=options.seeds, training=training)


def _list(options: Options) -> None:
    with Bar("loading libraries", quiet=options.quiet or options.json):
        from ghn.cli.support.terminal import make_table, show
        from ghn.initializers import NAMES
    if options.json:
        print_json(dict(NAMES))
        return

    table = make_table("starts, and steps that follow one (joined by +)", "name", "what it does")
    for name, summary in NAMES.items():
        table.add_row(name, summary)
    show(table, "", "compare some: ghn compare resnet18 --init default,ghn,ghn+calibrate")


def _give(options: Options, found: Comparison) -> None:
    """Write and print what there is."""
    for file in options.output:
        _write(file, found)
    if options.json:
        print_json(found.to_dict())
    elif found.cells and not options.quiet:
        _show(options, found)


def _write(file: Path, found: Comparison) -> None:
    from ghn.cli.support.files import replaced
    from ghn.comparison.figure import draw

    if file.suffix.lower() != ".json":
        if any(row.steps for row in found.rows()):
            draw(found, file)
        return
    with replaced(file) as partial:
        partial.write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")


def _show(options: Options, found: Comparison) -> None:
    from ghn.cli.support.terminal import make_table, show

    rows = found.rows()
    points = next((_shown_points(row.steps) for row in rows if row.steps), ())
    numbers = (*(f"at {step:,}" for step in points), "difference", "cost")
    seeds = max(len(row.seeds) for row in rows)
    title = f"{options.name} on {options.data}: test accuracy in % after steps of {options.optimizer}, {seeds} seed"
    table = make_table(f"{title}{'s' if seeds != 1 else ''}", "start", *numbers, "", right=numbers)
    for row in rows:
        if row.steps:
            # Long names break where a step begins.
            table.add_row(row.init.replace("+", "\n+") if len(row.init) > NAME else row.init, *_cells(row, points))
    notes = [f"{row.init}: {error}" for row in rows for error in row.errors]
    notes += [
        f"{row.init}: {len(row.seeds)} of {seeds} seeds only" for row in rows if row.steps and len(row.seeds) < seeds
    ]
    first = found.config.inits[0]
    show(table, "", *notes, *_sentences(rows, first), *(str(file) for file in options.output))


def _shown_points(steps: tuple[int, ...]) -> tuple[int, ...]:
    """Start, middle and end of a curve."""
    return tuple(dict.fromkeys((steps[0], steps[len(steps) // 2], steps[-1])))


def _cells(row: Row, points: tuple[int, ...]) -> list[str]:
    cells = []
    for step in points:
        place = row.steps.index(step)
        deviation = "" if math.isnan(row.std[place]) else f" ± {100 * row.std[place]:.1f}"
        cells.append(f"{100 * row.mean[place]:.1f}{deviation}")
    if row.against is None:
        return [*cells, "", _seconds(row.cost), ""]
    half = "" if math.isinf(row.against.half) else f" ± {100 * row.against.half:.1f}"
    return [*cells, f"{100 * row.against.mean:+.1f}{half}", _seconds(row.cost), row.against.verdict]


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def _sentences(rows: list[Row], first: str) -> list[str]:
    """What the table cannot say."""
    lines = []
    lost = [row.init for row in rows if row.steps and row.mean[-1] < row.mean[0]]
    if lost:
        lines.append(f"the training lost what {' and '.join(lost)} had before it; {GENTLER}")
    if any(row.against is not None and not math.isinf(row.against.half) for row in rows):
        lines.append("difference: to the first start at the end, interval of 95 % over the seeds")
    for row in rows:
        if row.against is not None and row.reaches is not None:
            lines.append(f"{row.init} has what {first} ends with at step {row.reaches:,} of {row.steps[-1]:,}")
    return lines
