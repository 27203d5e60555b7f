"""Table 13: how well scores that need no training rank networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ghn.analysis.published import accuracies
from ghn.analysis.ranking import FEWEST, kendall
from ghn.analysis.zero_cost.table import SCORES
from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.networks import deepnets_names
from ghn.experiments.protocol import Results, analysis, trained, untrained
from ghn.experiments.published import published_row
from ghn.experiments.report import Entry, Report, Row
from ghn.experiments.scales import Scale, hypernetworks

RANDOM_RANKING, EPOCH = "random ranking", "1 epoch of SGD"

COLUMNS = ("DeepNets-1M, 1 epoch", "torchvision, 1 epoch", "torchvision, trained")

Values = Mapping[str, float]
"""By network."""


def methods(scale: Scale) -> list[Method]:
    """Hypernetworks, whose scores are accuracies of what they predict."""
    known = hypernetworks(scale)
    return [known[name] for name in ("ghn2-m8", "ghn3-t-m8", "ghn3-xl-m16")]


def groups(scale: Scale) -> list[Sequence[str]]:
    """The networks of the first column, and of the other two."""
    return [deepnets_names(scale.splits), scale.models]


def _cells(scale: Scale, _: Results) -> list[Cell]:
    hypernets = methods(scale)
    return [
        cell
        for models in groups(scale)
        for model in models
        for cell in (
            _epoch(scale, model),
            analysis(scale, "scores", RANDOM, model),
            *(untrained(scale, method, model) for method in hypernets),
        )
    ]


def _epoch(scale: Scale, model: str) -> Cell:
    return trained(scale, RANDOM, model, scale.epoch)


def rows(scale: Scale, results: Results) -> dict[str, Values]:
    """What ranks networks, by the name of its row: the scores that are defined."""
    models = [model for group in groups(scale) for model in group]
    found = {model: results.value(analysis(scale, "scores", RANDOM, model)) for model in models}
    scores = {model: value["scores"] for model, value in found.items() if value is not None}

    def accuracies_of(cell: Callable[[str], Cell]) -> Values:
        return _present({model: results.accuracy(cell(model)) for model in models})

    def predicted(method: Method) -> Values:
        return accuracies_of(lambda model: untrained(scale, method, model))

    return {
        RANDOM_RANKING: dict(zip(models, np.random.default_rng(0).random(len(models)).tolist(), strict=True)),
        **{method.name: predicted(method) for method in methods(scale)},
        EPOCH: accuracies_of(lambda model: _epoch(scale, model)),
        **{name: _present({model: values[name] for model, values in scores.items()}) for name in SCORES},
    }


def _present(values: Mapping[str, float | None]) -> Values:
    return {model: value for model, value in values.items() if value is not None}


def tau(scores: Values, truth: Values) -> float | None:
    """Kendall's τ-b over the networks that have both; None where these are too few, or all alike."""
    pairs = [(scores[model], accuracy) for model, accuracy in truth.items() if model in scores]
    if len(pairs) < FEWEST:
        return None
    value = kendall(*zip(*pairs, strict=True))
    return None if math.isnan(value) else value


def _report(scale: Scale, results: Results) -> Report:
    deepnets, torchvision = groups(scale)
    ranked = rows(scale, results)
    truths = [{model: ranked[EPOCH][model] for model in models if model in ranked[EPOCH]} for models in groups(scale)]
    truths.append({model: accuracy for model, accuracy in accuracies("trained").items() if model in torchvision})
    made = [
        Row(
            name=name,
            entries=[Entry.plain(tau(scores, truth)) for truth in truths],
            published=published_row("table13", name, len(COLUMNS)),
        )
        for name, scores in ranked.items()
    ]
    notes = [
        f"Kendall's τ-b with accuracies of {len(deepnets)} and {len(torchvision)} networks; the last column is of the "
        "accuracies that torchvision's trained weights have on ImageNet",
        "scores are of random starts, and of accuracy on test images before any training for hypernetworks",
    ]
    return TABLE13.made(scale, results, columns=list(COLUMNS), rows=made, digits=2, notes=notes)


TABLE13 = Experiment(name="table13", stages=[_cells], report=_report)
