"""Table 9: how unlike tensors of equal shape are; figure 2: filters of a first layer."""

from __future__ import annotations

from ghn.analysis.diversity import SHAPES
from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.networks import short
from ghn.experiments.protocol import Results, analysis, pretrained
from ghn.experiments.published import published_row
from ghn.experiments.report import Entry, Picture, Report, Row
from ghn.experiments.scales import Scale, hypernetworks, trained_weights

_PUBLISHED = {"ghn2-m8": "ghn2"}
"""Rows of table 9 that have another name there."""


def methods(scale: Scale) -> list[Method]:
    """Random weights, hypernetworks, and trained weights where there are any."""
    known = hypernetworks(scale)
    return [RANDOM, *(known[name] for name in ("ghn2-m8", "ghn3-t-m8", "ghn3-xl-m16")), *trained_weights(scale)]


def _all(scale: Scale, method: Method) -> Cell:
    return analysis(scale, "diversity", method, *scale.analysed)


def _table9(scale: Scale, results: Results) -> Report:
    rows, meant = [], dict[str, str]()
    for method in methods(scale):
        value = results.value(_all(scale, method))
        found = {} if value is None else {one["asked"]: one for one in value["distances"]}
        meant |= {asked: f"{one['shape']} ({one['tensors']} tensors)" for asked, one in found.items()}
        rows.append(
            Row(
                name=method.name,
                entries=[Entry.plain(found[shape]["mean"]) if shape in found else None for shape in SHAPES],
                published=published_row("table9", _PUBLISHED.get(method.name, method.name), len(SHAPES)),
            )
        )
    notes = [
        f"mean of 1 − |cos| over pairs of tensors of {len(scale.analysed)} networks: 0 where all are alike; channels "
        "of trained ones are matched first",
        *([f"the shapes are {', '.join(meant.values())}"] if meant else []),
    ]
    return TABLE9.made(scale, results, columns=list(SHAPES), rows=rows, digits=4, notes=notes)


TABLE9 = Experiment(
    name="table9", stages=[lambda scale, _: [_all(scale, method) for method in methods(scale)]], report=_table9
)


def network(scale: Scale) -> str:
    """That of figure 2: the first that is trained fully."""
    return next(iter(scale.long_models))


def starts(scale: Scale) -> list[Method]:
    """Those of table 9 but random weights, and what an epoch of SGD makes of these."""
    return [*methods(scale)[1:], pretrained(scale, RANDOM, network(scale), scale.epoch), RANDOM]


def _figure2(scale: Scale, results: Results) -> Report:
    rows, pictures = [], []
    model = network(scale)
    for method in starts(scale):
        value = results.value(analysis(scale, "filters", method, model))
        numbers = [None, None] if value is None else [value["distinct"], value["distance"]]
        rows.append(Row(name=method.name, entries=[Entry.plain(number) for number in numbers], published=[None, None]))
        pictures.append(Picture(title=method.name, filters=[] if value is None else value["weights"]))
    notes = [
        f"filters of the first convolution of {short(model)}, each from black (its least element) to white",
        "two filters differ where 1 − |cos| is above 0.01; the distance is the mean of this over pairs",
    ]
    columns = ["filters that differ", "distance"]
    return FIGURE2.made(scale, results, columns=columns, rows=rows, digits=3, pictures=pictures, notes=notes)


FIGURE2 = Experiment(
    name="figure2",
    stages=[lambda scale, _: [analysis(scale, "filters", method, network(scale)) for method in starts(scale)]],
    report=_figure2,
)
