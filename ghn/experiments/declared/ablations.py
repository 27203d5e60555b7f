"""Tables 5, 10 and 11: hypernetworks that lack a part, trained alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.methods import trained as trained_method
from ghn.experiments.networks import deepnets_name
from ghn.experiments.protocol import Group, Results, trained, untrained
from ghn.experiments.published import published
from ghn.experiments.report import Entry, Report, Row
from ghn.experiments.scales import Scale, hypernetworks
from ghn.hypernet.config import GHNConfig

WITHOUT_EDGES: dict[str, Any] = {"forward_edges": False, "backward_edges": False}


def _variant(scale: Scale, name: str, architecture: dict[str, Any] | None = None, **training: Any) -> Method:
    return trained_method(name, replace(scale.meta, **training), **(architecture or {}))


def table5_methods(scale: Scale) -> list[Method]:
    """GHN-3-T with other penalties, and with less to see of the graph."""
    mlp = {"encoder": "mlp", "layers": 0, "heads": 1}
    return [
        _variant(scale, "ghn3-t-m8"),
        _variant(scale, "squared penalty", penalty_form="squared"),
        _variant(scale, "no penalty", penalty=0.0),
        _variant(scale, "no backward embedding", {"backward_edges": False}),
        _variant(scale, "no edge embedding", WITHOUT_EDGES),
        _variant(scale, "no edge embedding, MLP", mlp),
    ]


def table10_methods(scale: Scale) -> list[Method]:
    """GHN-3-T with other weights of the penalty, and weight decay instead of it."""
    settings = [("3e-5", "0.01"), ("0", "0.01"), ("0", "0.1"), ("0", "0.3"), ("1e-4", "0.01")]
    return [
        _variant(scale, f"gamma {gamma}, weight decay {decay}", penalty=float(gamma), weight_decay=float(decay))
        for gamma, decay in settings
    ]


def _cells_of(methods: Callable[[Scale], list[Method]]) -> list[Callable[[Scale, Results], Sequence[Cell]]]:
    """First all torchvision networks without training, then the best of them after an epoch."""

    def choosing(scale: Scale, _: Results) -> list[Cell]:
        return [cell for method in methods(scale) for cell in _pytorch(scale).chosen_by(scale, method)]

    def best(scale: Scale, results: Results) -> list[Cell]:
        return [cell for method in methods(scale) for cell in _after_an_epoch(scale, results, method)]

    return [choosing, best]


def _pytorch(scale: Scale) -> Group:
    return Group(name="pytorch", models=scale.models)


def _after_an_epoch(scale: Scale, results: Results, method: Method) -> list[Cell]:
    models = _pytorch(scale).best(scale, method, results)
    return [trained(scale, method, model, scale.epoch) for model in models]


def _rows(scale: Scale, results: Results, methods: Sequence[Method], table: str, sizes: bool) -> list[Row]:
    rows = []
    for method in methods:
        cells = _after_an_epoch(scale, results, method)
        entry = Entry.of(results.accuracy(cell) for cell in cells)
        value = results.value(method.needs["hypernet"]) or {}
        entries = [Entry.plain(method.parameters), entry] if sizes else [entry]
        theirs = [published(table, method.name, column) for column in range(len(entries))]
        rows.append(
            Row(
                name=method.name,
                entries=[*entries, Entry.plain(value.get("loss"))],
                published=[*theirs, None],
            )
        )
    return rows


def _report(experiment: Callable[[], Experiment], sizes: bool, methods: Callable[[Scale], list[Method]]) -> Any:
    def report(scale: Scale, results: Results) -> Report:
        name = experiment().name
        columns = [f"pytorch-{scale.best}, 1 epoch", "last loss of the hypernetwork"]
        notes = [
            f"each hypernetwork is trained for {scale.meta.steps:,} steps; then the {scale.best} networks that do best "
            f"without training are trained for {scale.epoch:,} steps; mean ± std over these"
        ]
        rows = _rows(scale, results, methods(scale), name, sizes)
        columns = ["parameters, M", *columns] if sizes else columns
        return experiment().made(scale, results, columns=columns, rows=rows, notes=notes, digits=2)

    return report


TABLE5: Experiment = Experiment(
    name="table5",
    stages=_cells_of(table5_methods),
    report=_report(lambda: TABLE5, True, table5_methods),
)

TABLE10: Experiment = Experiment(
    name="table10",
    stages=_cells_of(table10_methods),
    report=_report(lambda: TABLE10, False, table10_methods),
)


def table11_methods(scale: Scale) -> list[Method]:
    """Hypernetworks of the appendix's ablation, with the random start; by the names of the published rows."""
    d = scale.meta.hypernet.hidden
    known = hypernetworks(scale)
    gated = {**GHNConfig.preset("ghn2", num_classes=scale.classes).to_dict(), "spatial": scale.meta.hypernet.spatial}
    small = {"hidden": d // 2, "max_channels": d}
    ghn2 = {**gated, "hidden": d // 2, "max_channels": d}
    wide = {**gated, "hidden": 2 * d, "max_channels": 2 * d}
    blind: dict[str, Any] = {**WITHOUT_EDGES, "centrality": False, "input_distance": False}
    return [
        replace(RANDOM, name="i random + 1 epoch"),
        replace(known["ghn2-m8"], name="ii ghn2-m8 released"),
        _variant(scale, "iii ghn2-m8 retrained", ghn2, penalty=0.0),
        _variant(scale, "iv ghn3 d=32, decoder 2d", small),
        _variant(scale, "v ghn3-t no centrality", {"centrality": False}),
        _variant(scale, "vi ghn3-t no input distance", {"input_distance": False}),
        _variant(scale, "vii ghn3-t-m8"),
        _variant(scale, "viii ghn3-t no edge embeddings", WITHOUT_EDGES),
        _variant(scale, "ix ghn3-t no embeddings at all", blind),
        _variant(scale, "x ghn2 d=128", wide, penalty=0.0),
        _variant(scale, "xi ghn3-t decoder 4d", {"max_channels": 4 * d}),
        replace(known.get("ghn3-s-m8", known["ghn3-t-m8"]), name="xii ghn3-s-m8"),
        replace(known["ghn3-xl-m16"], name="xiii ghn3-xl-m16"),
    ]


def _cell11(scale: Scale, method: Method, split: str, index: int) -> Cell:
    model = deepnets_name(split, index)
    return trained(scale, method, model, scale.epoch) if method.random else untrained(scale, method, model)


def _cells11(scale: Scale, _: Results) -> list[Cell]:
    return [
        _cell11(scale, method, split, index)
        for method in table11_methods(scale)
        for split, count in scale.splits.items()
        for index in range(count)
    ]


def _report11(scale: Scale, results: Results) -> Report:
    rows = []
    for method in table11_methods(scale):
        by_split = [
            [results.accuracy(_cell11(scale, method, split, index)) for index in range(count)]
            for split, count in scale.splits.items()
        ]
        entries = [Entry.of(values) for values in by_split] + [Entry.of(value for part in by_split for value in part)]
        theirs = [published("table11", method.name, column) for column in (0, *range(2, 8))]
        rows.append(Row(name=method.name, entries=[Entry.plain(method.parameters), *entries], published=theirs))
    columns = ["parameters, M", *(f"{split} ({count})" for split, count in scale.splits.items())]
    columns.append(f"all ({sum(scale.splits.values())})")
    notes = ["top-1 in per cent, mean ± std over networks, without training but for the first row"]
    return TABLE11.made(scale, results, columns=columns, rows=rows, notes=notes)


TABLE11 = Experiment(
    name="table11",
    stages=[_cells11],
    report=_report11,
)
