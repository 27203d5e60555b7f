"""Figure 9, and a part of figure 6: the variance of activations, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from ghn.analysis.variance import sentence
from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.networks import short
from ghn.experiments.protocol import Results, analysis
from ghn.experiments.report import Entry, Plot, Report, Row, Series
from ghn.experiments.scales import Scale, hypernetworks, trained_weights

NOTE = (
    "variance of what each convolution and linear layer gives, over a batch of training images, before anything "
    "follows; the paper's figures are drawings without numbers"
)


def methods(scale: Scale) -> list[Method]:
    """Random and, where there are any, trained weights; and two hypernetworks."""
    known = hypernetworks(scale)
    return [RANDOM, *trained_weights(scale), known["ghn2-m8"], known["ghn3-xl-m16"]]


def cells(scale: Scale, models: Sequence[str]) -> list[Cell]:
    """The variances of some networks from each start."""
    return [analysis(scale, "variance", method, model) for model in models for method in methods(scale)]


def plot(scale: Scale, results: Results, model: str) -> Plot:
    """A network's variances over its layers, a line for each start."""
    series = []
    for method in methods(scale):
        value = results.value(analysis(scale, "variance", method, model))
        found = enumerate([] if value is None else value["variances"], 1)
        sound = [(float(layer), variance) for layer, variance in found if variance]
        series.append(Series(name=method.name, x=[x for x, _ in sound], y=[y for _, y in sound]))
    there = [one for one in series if len(one.x)]
    return Plot(title=short(model), x="layer", y="variance of activations", series=there, logarithmic_y=True)


def _report(scale: Scale, results: Results) -> Report:
    rows, said = [], []
    for model in scale.variance_models:
        for method in methods(scale):
            value = results.value(analysis(scale, "variance", method, model))
            sound = [] if value is None else [variance for variance in value["variances"] if variance is not None]
            numbers = [sound[0], min(sound), max(sound), sound[-1]] if sound else [None] * 4
            entries = [Entry.plain(number) for number in numbers]
            rows.append(Row(name=f"{short(model)}, {method.name}", entries=entries, published=[None] * 4))
            if value is not None:
                said.append(f"{short(model)} from {method.name} {sentence(value)}")
    plots = [plot(scale, results, model) for model in scale.variance_models]
    columns = ["first layer", "least", "most", "last layer"]
    return FIGURE9.made(scale, results, columns=columns, rows=rows, digits=4, plots=plots, notes=[NOTE, *said])


FIGURE9 = Experiment(name="figure9", stages=[lambda scale, _: cells(scale, scale.variance_models)], report=_report)
