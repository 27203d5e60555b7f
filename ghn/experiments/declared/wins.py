"""Table 4, table 12, figures 4 and 7: a predicted start against a random one, network by network."""

from __future__ import annotations

from collections.abc import Sequence

from ghn.analysis.published import of_model
from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.networks import deepnets_names, short
from ghn.experiments.protocol import Results, trained, untrained
from ghn.experiments.published import Number, published
from ghn.experiments.report import Entry, Plot, Report, Row, Series
from ghn.experiments.scales import Scale, hypernetworks

LARGEST = "ghn3-xl-m16"

MOMENTS = ("no fine-tuning", "1/10 epoch", "1 epoch")


def _largest(scale: Scale) -> Method:
    return hypernetworks(scale)[LARGEST]


def _cells(scale: Scale, model: str) -> list[Cell]:
    """The predicted start at each moment, then the random one after an epoch."""
    method = _largest(scale)
    return [
        untrained(scale, method, model),
        trained(scale, method, model, scale.tenth),
        trained(scale, method, model, scale.epoch),
        trained(scale, RANDOM, model, scale.epoch),
    ]


def gains(
    ours: Sequence[float | None], others: Sequence[float | None]
) -> tuple[Entry | None, Entry | None, Entry | None]:
    """Share of wins in per cent, mean difference where ours wins, mean difference where it loses (or draws).

    Args:
        ours: Accuracies, one a network.
        others: Of the same networks; those that lack either are left out.
    """
    both = [(one, other) for one, other in zip(ours, others, strict=True) if one is not None and other is not None]
    if not both:
        return None, None, None
    won = [one - other for one, other in both if one > other]
    lost = [one - other for one, other in both if one <= other]
    share = Entry(mean=100 * len(won) / len(both), count=len(both))
    return share, _mean(won), _mean(lost)


def _mean(values: Sequence[float]) -> Entry | None:
    found = Entry.of(values)
    return None if found is None else Entry(mean=found.mean, count=found.count)


def _accuracies(scale: Scale, results: Results, models: Sequence[str]) -> list[list[float | None]]:
    """By moment, then by network."""
    return [[results.accuracy(_cells(scale, model)[moment]) for model in models] for moment in range(len(MOMENTS) + 1)]


def _report4(scale: Scale, results: Results) -> Report:
    *ours, random = _accuracies(scale, results, scale.models)
    rows = []
    for moment, accuracies in zip(MOMENTS, ours, strict=True):
        name = f"{LARGEST} {moment}"
        theirs = [published("table4", name, column) for column in range(3)]
        rows.append(Row(name=name, entries=gains(accuracies, random), published=theirs))
    notes = [
        f"against a random start and an epoch ({scale.epoch:,} steps), over {len(scale.models)} networks; wins in per "
        "cent of them, gain (loss): mean difference in per cent of top-1 where the predicted start is ahead (is not)"
    ]
    columns = ["wins, %", "average gain", "average loss"]
    return TABLE4.made(scale, results, columns=columns, rows=rows, notes=notes)


TABLE4 = Experiment(
    name="table4",
    stages=[lambda scale, _: [cell for model in scale.models for cell in _cells(scale, model)]],
    report=_report4,
)


def _figure4(scale: Scale, results: Results) -> Report:
    *ours, random = _accuracies(scale, results, scale.models)
    rows, series = [], []
    keys = ("ghn3", None, "ghn3-sgd1ep")
    for number, model in enumerate(scale.models):
        found = [accuracies[number] for accuracies in (*ours, random)]
        theirs = [None if key is None else of_model(model, key) for key in (*keys, "randinit-sgd1ep")]
        numbers = [None if value is None else Number(value) for value in theirs]
        rows.append(Row(name=short(model), entries=[Entry.plain(value) for value in found], published=numbers))
    for moment, accuracies in zip(MOMENTS, ours, strict=True):
        points = [(x, y) for x, y in zip(random, accuracies, strict=True) if x is not None and y is not None]
        series.append(Series(name=moment, x=[x for x, _ in points], y=[y for _, y in points]))
    plot = Plot(
        title="each network", x="random start and an epoch, top-1, %", y="predicted start, top-1, %",
        series=series, points=True, diagonal=True,
    )  # fmt: skip
    columns = [*(f"{LARGEST} {moment}" for moment in MOMENTS), "random 1 epoch"]
    return FIGURE4.made(scale, results, columns=columns, rows=rows, plots=[plot])


FIGURE4 = Experiment(name="figure4", stages=TABLE4.stages, report=_figure4)


def _deepnets(scale: Scale) -> tuple[str, ...]:
    return deepnets_names(scale.splits)


def _cells12(scale: Scale, _: Results) -> list[Cell]:
    methods = hypernetworks(scale)
    both = [*_deepnets(scale), *scale.models]
    cells = [untrained(scale, methods[name], model) for name in ("ghn2-m8", LARGEST) for model in both]
    cells += [trained(scale, RANDOM, model, scale.epoch) for model in both]
    return cells + [
        trained(scale, methods[LARGEST], model, steps) for steps in (scale.tenth, scale.epoch) for model in scale.models
    ]


def _report12(scale: Scale, results: Results) -> Report:
    methods = hypernetworks(scale)
    rows = []
    for name, method, steps in (
        ("ghn2, 0 steps", methods["ghn2-m8"], 0),
        (f"{LARGEST}, 0 steps", methods[LARGEST], 0),
        ("random, 10k steps", RANDOM, scale.epoch),
        (f"{LARGEST}, 1k steps", methods[LARGEST], scale.tenth),
        (f"{LARGEST}, 10k steps", methods[LARGEST], scale.epoch),
    ):
        entries = []
        for models in (_deepnets(scale), scale.models):
            cells = [
                trained(scale, method, model, steps) if steps else untrained(scale, method, model) for model in models
            ]
            entries.append(Entry.of(results.accuracy(cell) for cell in cells))
        theirs = [published("table12", name, column) for column in range(2)]
        rows.append(Row(name=_with_steps(name, steps), entries=entries, published=theirs))
    columns = [f"deepnets-1m ({sum(scale.splits.values())})", f"pytorch ({len(scale.models)})"]
    return TABLE12.made(scale, results, columns=columns, rows=rows, notes=["mean ± std of top-1 over networks"])


def _with_steps(name: str, steps: int) -> str:
    return f"{name.partition(',')[0]}, {steps:,} steps"


TABLE12 = Experiment(name="table12", stages=[_cells12], report=_report12)


def _figure7(scale: Scale, results: Results) -> Report:
    """As figure 4, of the networks of DeepNets-1M without training."""
    method, models = _largest(scale), _deepnets(scale)
    pairs = [
        (
            model,
            results.accuracy(untrained(scale, method, model)),
            results.accuracy(trained(scale, RANDOM, model, scale.epoch)),
        )
        for model in models
    ]
    rows = [
        Row(name=short(model), entries=[Entry.plain(ours), Entry.plain(random)], published=[None, None])
        for model, ours, random in pairs
    ]
    series = []
    for split in scale.splits:
        points = [
            (random, ours)
            for model, ours, random in pairs
            if short(model).startswith(f"{split} ") and ours is not None and random is not None
        ]
        series.append(Series(name=split, x=[x for x, _ in points], y=[y for _, y in points]))
    plot = Plot(
        title="networks of DeepNets-1M", x="random start and an epoch, top-1, %",
        y="predicted, no training, top-1, %", series=series, points=True, diagonal=True,
    )  # fmt: skip
    columns = [f"{LARGEST} no fine-tuning", "random 1 epoch"]
    return FIGURE7.made(scale, results, columns=columns, rows=rows, plots=[plot])


def _cells7(scale: Scale, _: Results) -> list[Cell]:
    models = _deepnets(scale)
    cells = [untrained(scale, _largest(scale), model) for model in models]
    return cells + [trained(scale, RANDOM, model, scale.epoch) for model in models]


FIGURE7 = Experiment(name="figure7", stages=[_cells7], report=_figure7)
