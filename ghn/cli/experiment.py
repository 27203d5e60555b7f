"""`ghn experiment`: a table or figure of the paper, computed cell by cell on this machine or a cluster."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional

from ghn.cli.support.errors import CommandError
from ghn.cli.support.options import DataRoot, Device, Force, Json, Quiet, option, switch
from ghn.cli.support.results import print_json

if TYPE_CHECKING:
    from ghn.common.progress import Bar
    from ghn.experiments.declared.experiment import Experiment
    from ghn.experiments.grid.drive import Progress
    from ghn.experiments.grid.executors import Executor
    from ghn.experiments.report import Report
    from ghn.experiments.run import Done
    from ghn.experiments.scales import Scale


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compute a table or figure of the paper, beside the published numbers.

    Without a name, experiments are listed.

    Each cell of its grid is stored as soon as it is finished, by what it computes: the same command goes on where it
    was stopped, others use the same cells, and several commands share the work of one folder.

    Attributes:
        name: The experiment, e.g. table4.
        scale: small: two processor cores take minutes to an hour; paper: the paper's settings, on ImageNet.
        data: Another data set of as many classes: digits, cifar10.
        folder: Where results are kept: a folder, or an address of fsspec such as s3://bucket/results.
        workers: Cells at the same time, each in a process of its own.
        ray: Ray cluster that computes the cells: local, auto, HOST:PORT or ray://HOST:PORT.
        gpus: GPUs that a cell needs on Ray; parts of one are shared.
        threads: Processor threads of a cell; numbers depend on them to rounding.
        output: File for the result (.json, .md) or the figure (.svg, .png, .pdf); several may be given.
        cells: Only count the cells, and those that are finished.
    """

    name: Annotated[Positional[str | None], option("NAME", default="list them")] = None
    scale: Literal["small", "paper"] = "small"
    data: Annotated[str | None, option("DATA", default="the scale's own")] = None
    data_root: DataRoot = None
    folder: Annotated[str, option("FOLDER|ADDRESS")] = "runs/experiments"
    workers: Annotated[int, option("N")] = 1
    ray: Annotated[str | None, option("ADDRESS|local", default="none")] = None
    gpus: Annotated[float, option("N")] = 0.0
    threads: Annotated[int, option("N")] = 1
    device: Device = None
    output: Annotated[tuple[Path, ...], option("FILE...", default="none", short="-o")] = ()
    force: Force = False
    cells: Annotated[bool, switch()] = False
    json: Json = False
    quiet: Quiet = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
        CommandError: If cells failed, or it was stopped; what there is was shown and written.
    """
    if options.name is None:
        _list(options)
        return
    from ghn.cli.support.files import check_keeps, check_writable
    from ghn.cli.support.models import look_in_current_folder
    from ghn.common.progress import Bar

    _check(options)
    if "://" not in options.folder:
        check_keeps(Path(options.folder).expanduser())
    for file in options.output:
        check_writable(file, (".json", ".md", ".svg", ".png", ".pdf"), force=options.force)
    with Bar("loading libraries", quiet=options.quiet) as bar:
        from ghn.experiments.catalogue import experiment_named
        from ghn.experiments.run import InterruptedExperimentError
        from ghn.experiments.scales import scale_named

        look_in_current_folder()
        experiment, scale = experiment_named(options.name), scale_named(options.scale, options.data)
        _check_figures(options, experiment, scale)
        if options.cells:
            with bar.step("counting cells"):
                counted = _counted(options, experiment, scale)
            bar.close()
            _show_counts(options, experiment, scale, counted)
            return
        try:
            done = _computed(options, experiment, scale, bar)
        except InterruptedExperimentError as error:
            bar.close()
            _give(options, error.partial.report)
            raise KeyboardInterrupt(str(error)) from error
        except OSError as error:
            raise CommandError(f"{options.folder}: {error}") from error
    _give(options, done.report)
    if done.failed:
        first = next(iter(done.failed.values()))
        raise CommandError(f"{len(done.failed)} of {len(done.cells)} cells failed, e.g. {first}")


def _check(options: Options) -> None:
    for name, least in (("workers", 1), ("threads", 1), ("gpus", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} must be at least {least}, not {getattr(options, name)}")
    if options.ray is None and options.gpus:
        raise ValueError("--gpus is for cells on Ray: add --ray ADDRESS, or leave it out")


def _check_figures(options: Options, experiment: Experiment, scale: Scale) -> None:
    """Refuse a figure of what has none, before anything is computed."""
    from ghn.experiments.protocol import Results

    pictures = [file for file in options.output if file.suffix.lower() not in (".json", ".md")]
    if pictures and not experiment.report(scale, Results()).has_figure:
        raise ValueError(f"{experiment.name} is a table and has no figure {pictures[0]}: take .md or .json")


def _computed(options: Options, experiment: Experiment, scale: Scale, bar: Bar) -> Done:
    import torch

    from ghn.common.progress import Bar
    from ghn.experiments.grid.place import open_place
    from ghn.experiments.grid.store import Store
    from ghn.experiments.run import run_experiment

    place = open_place(options.folder)
    with Store(place) as store, _executor(options) as executor, ExitStack() as stack:
        shown = [bar]

        def begin(number: int, count: int) -> None:
            """Each stage has a bar of its own."""
            shown[-1].close()
            text = f"{experiment.name}, stage {number + 1} of {len(experiment.stages)}"
            shown.append(stack.enter_context(Bar(text, quiet=options.quiet)))
            shown[-1].begin(count, text)

        def progress(each: Progress) -> None:
            if each.error is not None:
                shown[-1].advance(f"{_told(each)}: failed: {each.error}")
            else:
                shown[-1].advance(_told(each) if each.here else f"{_told(each)} (there)")

        return run_experiment(
            experiment,
            scale,
            store,
            executor,
            begin=begin,
            progress=progress,
            device=options.device or ("cuda" if torch.cuda.is_available() else "cpu"),
            data_root=options.data_root,
            threads=options.threads,
        )


@contextmanager
def _executor(options: Options) -> Iterator[Executor]:
    """Who computes; closed at the end."""
    from ghn.experiments.grid.executors import Here, Processes
    from ghn.experiments.grid.ray_cluster import RayCluster

    executor: Executor
    if options.ray is not None:
        slots = options.workers if options.workers > 1 else None
        executor = RayCluster(
            options.ray, cpus=options.threads, gpus=options.gpus, slots=slots, threads=options.threads
        )
    else:
        executor = Processes(options.workers, options.threads) if options.workers > 1 else Here()
    try:
        yield executor
    finally:
        executor.close()


def _told(progress: Progress) -> str:
    """A cell in a few words."""
    from ghn.experiments.run import name_of

    return name_of(progress.cell)


def _counted(options: Options, experiment: Experiment, scale: Scale) -> list[tuple[int, str, int, int]]:
    """Stage, kind, how many cells there are, and how many are finished."""
    from ghn.experiments.grid.place import open_place
    from ghn.experiments.grid.store import Store
    from ghn.experiments.run import results_of, with_needs

    store = Store(open_place(options.folder))
    store.refresh()
    rows: list[tuple[int, str, int, int]] = []
    cells: list[Any] = []
    for number, stage in enumerate(experiment.stages):
        new = with_needs(stage(scale, results_of(store, cells)))
        cells += new
        for kind, count in Counter(cell.kind for cell in new).items():
            finished = sum(cell.kind == kind and cell.digest in store for cell in new)
            rows.append((number + 1, kind, count, finished))
    return rows


def _show_counts(
    options: Options, experiment: Experiment, scale: Scale, rows: Sequence[tuple[int, str, int, int]]
) -> None:
    from ghn.cli.support.terminal import make_table, show

    if options.json:
        names = ("stage", "kind", "cells", "finished")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    table = make_table(
        f"{experiment.name}, scale {scale.name}", "stage", "kind", "cells", "finished", right=("cells", "finished")
    )
    for stage, kind, count, finished in rows:
        table.add_row(str(stage), kind, f"{count:,}", f"{finished:,}")
    notes = ["later stages depend on what earlier ones find, and are larger than they seem until these are finished"]
    show(table, *(["", *notes] if len(experiment.stages) > 1 else []))


def _list(options: Options) -> None:
    from ghn.cli.support.terminal import make_table, show
    from ghn.experiments.listing import EXPERIMENTS

    if options.json:
        print_json({name: entry.title for name, entry in EXPERIMENTS.items()})
        return

    table = make_table("experiments of the GHN-3 paper", "name", "what it shows")
    for name, entry in EXPERIMENTS.items():
        table.add_row(name, entry.title)
    show(table, "", "compute one: ghn experiment table3 --workers 2 -o table3.md")


def _give(options: Options, report: Report) -> None:
    """Write and print what there is."""
    for file in options.output:
        _write(file, report)
    if options.json:
        print_json(report.to_dict())
    elif not options.quiet:
        _show(options, report)


def _write(file: Path, report: Report) -> None:
    from ghn.cli.support.files import replaced

    suffix = file.suffix.lower()
    if suffix in (".json", ".md"):
        text = report.markdown() if suffix == ".md" else json.dumps(report.to_dict(), indent=2) + "\n"
        with replaced(file) as partial:
            partial.write_text(text, encoding="utf-8")
        return
    from ghn.experiments.figure import draw

    # Of one that was stopped there may be nothing yet.
    if report.to_draw:
        draw(report, file)


def _show(options: Options, report: Report) -> None:
    from ghn.cli.support.terminal import make_table, show

    title = f"{report.name}: {report.title} ({report.scale}, {report.data}; in brackets the paper)"
    table = make_table(title, "", *report.columns)
    for row in report.rows:
        # Narrow, and one below the other: tables of the paper are wide.
        cells = [report.cell(row, column, "\n").replace(" ± ", "±") for column in range(len(report.columns))]
        table.add_row(row.name, *cells)
    show(table, "", *report.notes, *(f"failed: {line}" for line in report.failed), *map(str, options.output))
