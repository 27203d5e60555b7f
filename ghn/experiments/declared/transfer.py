"""Table 7: few labels of other data sets, from predicted and pretrained starts, with a new head."""

from __future__ import annotations

from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.protocol import Results, pretrained, trained
from ghn.experiments.published import Number, published
from ghn.experiments.report import Entry, Report, Row
from ghn.experiments.scales import Scale, hypernetworks

RATES = (0.1, 0.03, 0.01, 0.003, 0.001)
"""Tried alike for every method; the best on held-out images counts."""


def methods(scale: Scale, model: str) -> list[Method]:
    """The starts of the table, and what each becomes after an epoch on the larger data set."""
    known = hypernetworks(scale)
    plain = [
        RANDOM,
        Method(name="orthogonal", init="orthogonal"),
        Method(name="ghn2", init=known["ghn2-m8"].init, needs=known["ghn2-m8"].needs),
        Method(name="ghn3-xl-m16", init=known["ghn3-xl-m16"].init, needs=known["ghn3-xl-m16"].needs),
    ]
    before = [pretrained(scale, method, model, scale.epoch) for method in (plain[0], *plain[2:])]
    return [*plain, *before]


def _cell(scale: Scale, method: Method, model: str, data: str, seed: int) -> Cell:
    # A quarter of the few labels chooses, and is not trained on.
    changes = {
        "data": data,
        "few_shot": scale.few_shot,
        "hold_out": scale.few_shot // 4,
        "learning_rates": list(RATES),
        "batch_size": min(64, scale.few_shot // 2),
        "precision": "float32",
    }
    return trained(scale, method, model, scale.transfer_steps, seed, **changes)


def _places(scale: Scale) -> list[tuple[str, str]]:
    return [(data, model) for data in scale.transfer for model in scale.transfer_models]


def _cells(scale: Scale, _: Results) -> list[Cell]:
    return [
        _cell(scale, method, model, data, seed)
        for data, model in _places(scale)
        for method in methods(scale, model)
        for seed in range(scale.seeds)
    ]


def _report(scale: Scale, results: Results) -> Report:
    rows = []
    count = len(methods(scale, scale.transfer_models[0]))
    for place in range(count):
        entries = []
        for data, model in _places(scale):
            method = methods(scale, model)[place]
            cells = [_cell(scale, method, model, data, seed) for seed in range(scale.seeds)]
            entries.append(Entry.of(results.accuracy(cell) for cell in cells))
        theirs = [_published(method.name, data, model) for data, model in _places(scale)]
        rows.append(Row(name=method.name, entries=entries, published=theirs))
    notes = [
        f"{scale.few_shot:,} training labels and {scale.few_shot // 4:,} others that choose the learning rate; the "
        f"head is drawn anew; mean ± std over {scale.seeds} runs of {scale.transfer_steps:,} steps"
    ]
    columns = [f"{data}, {model}" for data, model in _places(scale)]
    return TABLE7.made(scale, results, columns=columns, rows=rows, notes=notes)


def _published(method: str, data: str, model: str) -> Number | None:
    columns = [
        f"{data} {model}" for data in ("cifar10", "cifar100") for model in ("resnet50", "convnext_base", "swin_t")
    ]
    name = f"{data} {model}"
    return published("table7", method, columns.index(name)) if name in columns else None


TABLE7 = Experiment(name="table7", stages=[_cells], report=_report)
