"""Table 8: detectors on Penn-Fudan, their backbones from several starts."""

from __future__ import annotations

from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.protocol import Results
from ghn.experiments.published import published
from ghn.experiments.report import Entry, Report, Row
from ghn.experiments.scales import Scale, hypernetworks


def methods(scale: Scale) -> list[Method]:
    """The starts of the table that no long training precedes."""
    known = hypernetworks(scale)
    return [
        RANDOM,
        Method(name="ghn2", init=known["ghn2-m8"].init, needs=known["ghn2-m8"].needs),
        Method(name="ghn3-xl-m16", init=known["ghn3-xl-m16"].init, needs=known["ghn3-xl-m16"].needs),
    ]


def backbones(scale: Scale) -> tuple[str, ...]:
    """ResNets."""
    return ("resnet50", "resnet101", "resnet152") if scale.name == "paper" else ("resnet18",)


def _cell(scale: Scale, method: Method, backbone: str, seed: int) -> Cell:
    training: dict[str, object] = {"backbone": backbone, "classes": scale.classes}
    if scale.name == "small":
        training |= {"image_size": 160, "steps": 40, "test_images": 20}
    settings = {"init": method.init, "training": training}
    return Cell(kind="detect", settings=settings, seed=seed, needs=method.needs)


def _cells(scale: Scale, _: Results) -> list[Cell]:
    return [
        _cell(scale, method, backbone, seed)
        for backbone in backbones(scale)
        for method in methods(scale)
        for seed in range(scale.seeds)
    ]


def _report(scale: Scale, results: Results) -> Report:
    rows = []
    for method in methods(scale):
        entries = []
        for backbone in backbones(scale):
            values = [results.value(_cell(scale, method, backbone, seed)) for seed in range(scale.seeds)]
            entries.append(Entry.of(None if value is None else 100 * value["average_precision"] for value in values))
        columns = [{"resnet50": 0, "resnet101": 1, "resnet152": 2}.get(backbone) for backbone in backbones(scale)]
        theirs = [None if column is None else published("table8", method.name, column) for column in columns]
        rows.append(Row(name=method.name, entries=entries, published=theirs))
    notes = [
        "average precision at an overlap of 0.5 in per cent, on the last images of PennFudanPed/; mean ± std over "
        f"{scale.seeds} runs"
    ]
    return TABLE8.made(scale, results, columns=list(backbones(scale)), rows=rows, notes=notes)


TABLE8 = Experiment(name="table8", stages=[_cells], report=_report)
