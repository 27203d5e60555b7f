"""Table 2, figure 1: larger hypernetworks, before and after a little training."""

from __future__ import annotations

from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.networks import deepnets_names
from ghn.experiments.protocol import Group, Results, trained, untrained
from ghn.experiments.published import published, rows_of
from ghn.experiments.report import Entry, Plot, Report, Row, Series
from ghn.experiments.scales import Scale, hypernetworks


def methods(scale: Scale) -> list[Method]:
    """Random starts, then all hypernetworks from small to large."""
    return [RANDOM, *hypernetworks(scale).values()]


def groups(scale: Scale) -> list[Group]:
    """The networks of the two halves of the table: DeepNets-1M's test split, and torchvision."""
    return [
        Group(name="deepnets", models=deepnets_names({"test": scale.splits["test"]})),
        Group(name="pytorch", models=scale.models),
    ]


def _choosing(scale: Scale, _: Results) -> list[Cell]:
    return [cell for group in groups(scale) for method in methods(scale) for cell in group.chosen_by(scale, method)]


def _best(scale: Scale, results: Results) -> list[Cell]:
    found = []
    for group in groups(scale):
        for method in methods(scale):
            for model in group.best(scale, method, results):
                found += [_at(scale, method, model, moment) for moment in range(3)]
    return found


def _at(scale: Scale, method: Method, model: str, moment: int) -> Cell:
    """Without training, after 1/10 epoch, after an epoch."""
    if moment == 0:
        return untrained(scale, method, model)
    return trained(scale, method, model, (scale.tenth, scale.epoch)[moment - 1])


def _entries(scale: Scale, results: Results, method: Method) -> list[Entry | None]:
    """In the order of the columns: moments, and for each both groups."""
    entries: list[Entry | None] = []
    for moment in range(3):
        for group in groups(scale):
            cells = [_at(scale, method, model, moment) for model in group.best(scale, method, results)]
            entries.append(Entry.of(results.accuracy(cell) for cell in cells))
    return entries


def _columns(scale: Scale) -> list[str]:
    names = [f"{group.name}-{scale.best}" for group in groups(scale)]
    return [f"{name}, {moment}" for moment in ("no training", "1/10 epoch", "1 epoch") for name in names]


def _report(scale: Scale, results: Results) -> Report:
    known = rows_of("table2")
    rows = []
    for method in methods(scale):
        theirs = [published("table2", method.name, column) if method.name in known else None for column in range(6)]
        rows.append(Row(name=method.name, entries=_entries(scale, results, method), published=theirs))
    return TABLE2.made(scale, results, columns=_columns(scale), rows=rows, notes=_notes(scale))


def _notes(scale: Scale) -> list[str]:
    notes = [
        f"top-1 in per cent, mean ± std over the {scale.best} best networks of each group, for hypernetworks by "
        "accuracy without training, for random starts by accuracy after an epoch",
        f"an epoch is {scale.epoch:,} steps, a tenth {scale.tenth:,}",
    ]
    if scale.name == "small":
        notes.append(
            "ghn3-t-m8 stands for the bundled ghn3-t-cifar10, ghn3-xl-m16 for ghn3-t-cifar10-wide, ghn2-m8 for a small "
            f"GHN-2 that is trained for {scale.meta.steps} steps"
        )
    return notes


TABLE2 = Experiment(
    name="table2",
    stages=[_choosing, _best],
    report=_report,
)


def _published_points() -> list[tuple[float, float]]:
    """The paper's hypernetworks: millions of parameters (table 1) and accuracy (table 2)."""
    points = []
    for name in rows_of("table2")[1:]:
        size, accuracy = published("table1", name.rpartition("-m")[0], 3), published("table2", name, 5)
        assert size is not None
        assert accuracy is not None
        points.append((size.mean, accuracy.mean))
    return points


def _figure1(scale: Scale, results: Results) -> Report:
    ours, rows = [], []
    for method in methods(scale):
        entry = _entries(scale, results, method)[5]
        number = published("table2", method.name, 5) if method.name in rows_of("table2") else None
        rows.append(Row(name=method.name, entries=[Entry.plain(method.parameters), entry], published=[None, number]))
        if method.parameters is not None and entry is not None:
            ours.append((method.parameters, entry.mean))
    series = [
        Series(name=name, x=[x for x, _ in points], y=[y for _, y in points], published=name != "ours")
        for name, points in (("ours", ours), ("paper, ImageNet", _published_points()))
        if points
    ]
    plot = Plot(
        title=f"pytorch-{scale.best} after an epoch", x="parameters of the hypernetwork, M", y="top-1, %",
        series=series, logarithmic=True, points=True,
    )  # fmt: skip
    columns = ["parameters, M", f"pytorch-{scale.best}, 1 epoch"]
    return FIGURE1.made(scale, results, columns=columns, rows=rows, plots=[plot], notes=_notes(scale))


FIGURE1 = Experiment(
    name="figure1",
    stages=[_choosing, _best], report=_figure1,
)  # fmt: skip
