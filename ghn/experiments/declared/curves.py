"""Table 6, figures 6 and 8: full trainings from several starts."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, pstdev

from ghn.experiments.declared import variance
from ghn.experiments.declared.experiment import Experiment, Stage
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.protocol import Results, present, trained
from ghn.experiments.published import Number, published, raw
from ghn.experiments.report import Entry, Plot, Report, Row, Series
from ghn.experiments.scales import Scale, hypernetworks

POINTS = 90
"""Evaluations of a training, besides that at its start; in the paper one an epoch."""


def methods(scale: Scale) -> list[Method]:
    """The starts of the table: random, learned scales, hypernetworks."""
    known = hypernetworks(scale)
    # Of the small scale's epochs: with their own settings they would take longer than the training.
    learned = "" if scale.name == "paper" else f":steps={scale.epoch}"
    return [
        RANDOM,
        Method(name="gradinit", init=f"default+gradinit{learned}"),
        Method(name="nio", init=f"default+nio{learned}"),
        Method(name="ghn2", init=known["ghn2-m8"].init, needs=known["ghn2-m8"].needs),
        Method(name="ghn3-xl-m16", init=known["ghn3-xl-m16"].init, needs=known["ghn3-xl-m16"].needs),
    ]


def variants(scale: Scale, method: Method, model: str, seed: int) -> list[Cell]:
    """The trainings of one start and seed, of which the best on held-out images counts."""
    steps = scale.long_epochs * scale.epoch
    every = max(1, steps // (POINTS if scale.name == "paper" else 2 * scale.long_epochs))
    cells = []
    for changes in scale.long_models[model]:
        given = {**changes}
        rates = given.get("learning_rates")
        if rates is not None and method.random and given.get("optimizer", "sgd") == "sgd":
            # Random starts are trained with the usual one (SETUP of table 6).
            given["learning_rates"] = rates[:1]
        cells.append(trained(scale, method, model, steps, seed, validate_every=every, **given))
    return cells


def _all(models: Sequence[str] | None = None) -> Stage:
    def cells(scale: Scale, _: Results) -> list[Cell]:
        return [
            cell
            for model in (models or scale.long_models)
            if model in scale.long_models
            for method in methods(scale)
            for seed in range(scale.seeds)
            for cell in variants(scale, method, model, seed)
        ]

    return cells


def best(results: Results, cells: Sequence[Cell]) -> Cell | None:
    """That with the highest score on held-out images; None without any."""
    found = [(max(present(value["scores"].values())), cell) for cell in cells if (value := results.value(cell))]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _chosen(scale: Scale, results: Results, method: Method, model: str) -> list[Cell]:
    """One training for each seed."""
    cells = [best(results, variants(scale, method, model, seed)) for seed in range(scale.seeds)]
    return [cell for cell in cells if cell is not None]


def moments(scale: Scale) -> list[int]:
    """Steps of the table's columns: an epoch, half of the training, its end."""
    return [scale.epoch, scale.epoch * scale.long_epochs // 2, scale.epoch * scale.long_epochs]


def _at(results: Results, cell: Cell, step: int) -> float | None:
    """Accuracy at the evaluation nearest to a step."""
    value = results.value(cell)
    if value is None:
        return None
    point = min(range(len(value["steps"])), key=lambda index: abs(value["steps"][index] - step))
    return results.accuracy(cell, point)


def _report(scale: Scale, results: Results) -> Report:
    rows = []
    models = list(scale.long_models)
    for method in methods(scale):
        entries: list[Entry | None] = []
        costs: list[float | None] = []
        for model in models:
            cells = _chosen(scale, results, method, model)
            costs += [results.time(cell, "initialisation") for cell in cells]
            entries += [Entry.of(_at(results, cell, step) for cell in cells) for step in moments(scale)]
        theirs = [published("table6", method.name, 0), *_published(method.name, models)]
        rows.append(Row(name=method.name, entries=[Entry.of(costs), *entries], published=theirs))
    epochs = ["1 epoch" if step == scale.epoch else f"{step / scale.epoch:g} epochs" for step in moments(scale)]
    columns = ["seconds", *(f"{model}, {epoch}" for model in models for epoch in epochs)]
    notes = [
        f"mean ± std over {scale.seeds} seeds; an epoch is {scale.epoch:,} steps; seconds are those of the start, on "
        "this machine, and differ from run to run"
    ]
    return TABLE6.made(scale, results, columns=columns, rows=rows, notes=notes)


def _published(method: str, models: Sequence[str]) -> list[Number | None]:
    """Three numbers a model; of other models than the paper's none."""
    found: list[Number | None] = []
    for model in models:
        column = {"resnet50": 1, "resnet152": 2, "swin_t": 3}.get(model)
        for moment in range(3):
            found.append(None if column is None else _moment(method, column, moment))
    return found


def _moment(method: str, column: int, moment: int) -> Number | None:
    values = raw("table6", method, column)
    return None if values is None else Number(values[moment])


TABLE6 = Experiment(name="table6", stages=[_all()], report=_report)


def _figure(name: str, chosen: Sequence[int], *, activations: bool = False) -> Experiment:
    """Curves of some of the scale's networks, by their place among these; and the variance of their activations."""

    def models(scale: Scale) -> list[str]:
        return [model for place, model in enumerate(scale.long_models) if place in chosen]

    def cells(scale: Scale, results: Results) -> Sequence[Cell]:
        looked_at = variance.cells(scale, models(scale)) if activations else []
        return [*_all(models(scale))(scale, results), *looked_at]

    def report(scale: Scale, results: Results) -> Report:
        plots, rows = [], []
        for model in models(scale):
            series = [_curve(scale, results, method, model) for method in methods(scale)]
            there = [curve for curve in series if len(curve.x)]
            plots.append(Plot(title=model, x="epochs", y="top-1, %", series=there))
            for curve in there:
                entries = [Entry(mean=curve.y[-1], std=curve.band[-1] if curve.band else None)]
                rows.append(Row(name=f"{model}, {curve.name}", entries=entries, published=[None]))
        if activations:
            plots += [variance.plot(scale, results, model) for model in models(scale)]
        notes = [variance.NOTE] if activations else []
        return experiment.made(scale, results, columns=["at the end"], rows=rows, plots=plots, notes=notes)

    experiment = Experiment(name=name, stages=[cells], report=report)
    return experiment


def _curve(scale: Scale, results: Results, method: Method, model: str) -> Series:
    values = [value for cell in _chosen(scale, results, method, model) if (value := results.value(cell)) is not None]
    if not values:
        return Series(name=method.name, x=[], y=[])
    columns = [[100 * value for value in point] for point in zip(*(value["accuracies"] for value in values))]
    return Series(
        name=method.name,
        x=[step / scale.epoch for step in values[0]["steps"]],
        y=[fmean(column) for column in columns],
        band=[pstdev(column) for column in columns] if len(values) > 1 else [],
    )


FIGURE6 = _figure("figure6", (0,), activations=True)
FIGURE8 = _figure("figure8", (1, 2))
