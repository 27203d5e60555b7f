"""An experiment from its name to its report: stage by stage, with whatever results there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.grid.drive import Grid, InterruptedGridError, Progress
from ghn.experiments.grid.executors import Executor
from ghn.experiments.grid.store import Store
from ghn.experiments.networks import short
from ghn.experiments.protocol import Results
from ghn.experiments.report import Report
from ghn.experiments.scales import Scale


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of an experiment.

    Attributes:
        report: Table and figure.
        cells: All of it.
        failed: Why cells have no result, by digest.
    """

    report: Report
    cells: Sequence[Cell]
    failed: dict[str, str]


class InterruptedExperimentError(InterruptedGridError):
    """An experiment was told to stop.

    Attributes:
        partial: What there is so far.
    """

    def __init__(self, text: str, partial: Done) -> None:
        super().__init__(text)
        self.partial = partial


def run_experiment(
    experiment: Experiment,
    scale: Scale,
    store: Store,
    executor: Executor | None = None,
    *,
    begin: Callable[[int, int], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Done:
    """Compute what is missing of an experiment's cells, and report.

    Args:
        experiment: Which.
        scale: In which size.
        store: Where results are, open.
        executor: Who computes; by default this process.
        begin: Called before each stage with its number and its cells.
        progress: Called for each cell at its end.
        **options: Of `Grid`: `device`, `data_root`, `threads`.

    Raises:
        InterruptedExperimentError: When it was told to stop; the same call goes on.
        ValueError: When no cell can be computed, as without the images.
        StateError: When the place of the results does not answer.
    """
    cells: list[Cell] = []
    failed: dict[str, str] = {}
    grid = Grid(store, executor, progress=progress, **options)
    for number, stage in enumerate(experiment.stages):
        new = with_needs(stage(scale, results_of(store, cells)))
        cells = list({cell.digest: cell for cell in (*cells, *new)}.values())
        if begin is not None:
            begin(number, len(new))
        try:
            failed |= grid.run(new).errors
        except InterruptedGridError as error:
            raise InterruptedExperimentError(str(error), _done(experiment, scale, store, cells, failed)) from error
    return _done(experiment, scale, store, cells, failed)


def with_needs(cells: Iterable[Cell]) -> list[Cell]:
    """Cells and those they need, none twice, what is needed first."""
    found: dict[str, Cell] = {}

    def add(cell: Cell) -> None:
        if cell.digest not in found:
            for need in cell.needs.values():
                add(need)
            found[cell.digest] = cell

    for cell in cells:
        add(cell)
    return list(found.values())


def results_of(store: Store, cells: Iterable[Cell]) -> Results:
    """What there is of some cells."""
    return Results(store.records(cell.digest for cell in cells))


def _done(experiment: Experiment, scale: Scale, store: Store, cells: list[Cell], failed: dict[str, str]) -> Done:
    report = experiment.report(scale, results_of(store, cells))
    lines = [f"{name_of(cell)}: {failed[cell.digest]}" for cell in cells if cell.digest in failed]
    return Done(report=replace(report, failed=lines), cells=cells, failed=failed)


def name_of(cell: Cell) -> str:
    """A cell in a few words."""
    words = [cell.kind]
    if "model" in cell.settings:
        words.append(short(cell.settings["model"]))
    if "split" in cell.settings:
        words.append(str(cell.settings["split"]))
    if "init" in cell.settings:
        words.append(f"from {cell.settings['init']}")
    return " ".join([*words, f"seed {cell.seed}"])
