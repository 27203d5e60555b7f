"""Figure 5: the norm of predicted parameters beside that of random ones, network by network."""

from __future__ import annotations

from ghn.analysis.published import of_model
from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.networks import short
from ghn.experiments.protocol import Results
from ghn.experiments.published import Number
from ghn.experiments.report import Entry, Plot, Report, Row, Series
from ghn.experiments.scales import Scale, hypernetworks

KEYS = {"random": "randinit-paramnorm", "ghn2-m8": "ghn2-paramnorm", "ghn3-t-m8": "ghn3-t-paramnorm"}
KEYS["ghn3-xl-m16"] = "ghn3-paramnorm"


def methods(scale: Scale) -> list[Method]:
    """Random starts, and the hypernetworks with published norms."""
    known = hypernetworks(scale)
    return [RANDOM, *(known[name] for name in list(KEYS)[1:])]


def _cell(scale: Scale, method: Method, model: str) -> Cell:
    settings = {
        "model": model,
        "init": method.init,
        "data": scale.data,
        "image_size": scale.image_size,
        "num_classes": scale.classes,
        "images": scale.norm_images,
    }
    return Cell(kind="norm", settings=settings, needs=method.needs)


def _report(scale: Scale, results: Results) -> Report:
    rows, series = [], []
    for model in scale.models:
        values = [results.value(_cell(scale, method, model)) for method in methods(scale)]
        entries = [Entry.plain(None if value is None else value["parameters"]) for value in values]
        gradient = None if values[0] is None else values[0]["gradient"]
        theirs = [of_model(model, key) for key in (*KEYS.values(), "randinit-gradnorm")]
        numbers = [None if number is None else Number(number) for number in theirs]
        rows.append(Row(name=short(model), entries=[*entries, Entry.plain(gradient)], published=numbers))
    for place, method in list(enumerate(methods(scale)))[1:]:
        points = [(row.entries[0], row.entries[place]) for row in rows]
        sound = [(x.mean, y.mean) for x, y in points if x is not None and y is not None]
        series.append(Series(name=method.name, x=[x for x, _ in sound], y=[y for _, y in sound]))
    plot = Plot(
        title="norm of all parameters", x="random start", y="predicted start", series=series, points=True, diagonal=True
    )
    columns = [*KEYS, "gradient, random"]
    notes = [
        "the settings at hand do not say what the paper's figure 5 shows; this one has the norms that its release "
        "published for each model",
        "Euclidean norm of all parameters together; the last column is that of the loss's gradient on a batch",
    ]
    return FIGURE5.made(scale, results, columns=columns, rows=rows, plots=[plot], notes=notes)


FIGURE5 = Experiment(
    name="figure5",
    stages=[lambda scale, _: [_cell(scale, method, model) for method in methods(scale) for model in scale.models]],
    report=_report,
)
