"""Table 13: how well scores that need no training rank networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ghn.analysis.published import accuracies
from ghn.analysis.ranking import FEWEST, kendall
from ghn.analysis.zero_cost.table import SCORES
from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.declared.variance import analysis
from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import RANDOM, Method
from ghn.experiments.networks import deepnets_names
from ghn.experiments.protocol import Results, trained, untrained
from ghn.experiments.published import Number, published, rows_of
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
    return [
        cell
        for models in groups(scale)
        for model in models
        for cell in (
            _epoch(scale, model),
            analysis(scale, "scores", RANDOM, model),
            *(untrained(scale, method, model) for method in methods(scale)),
        )
    ]


def _epoch(scale: Scale, model: str) -> Cell:
    return trained(scale, RANDOM, model, scale.epoch)


def rows(scale: Scale, results: Results) -> dict[str, Callable[[str], float | None]]:
    """What ranks networks, by the name of its row: the score of a network, None where it is undefined."""
    chance = np.random.default_rng(0).random(sum(map(len, groups(scale))))
    drawn = dict(zip([model for models in groups(scale) for model in models], chance.tolist(), strict=True))

    def score(name: str) -> Callable[[str], float | None]:
        def of(model: str) -> float | None:
            value = results.value(analysis(scale, "scores", RANDOM, model))
            found = None if value is None else value["scores"].get(name)
            return None if found is None else float(found)

        return of

    def predicted(method: Method) -> Callable[[str], float | None]:
        return lambda model: results.accuracy(untrained(scale, method, model))

    return {
        RANDOM_RANKING: drawn.get,
        **{method.name: predicted(method) for method in methods(scale)},
        EPOCH: lambda model: results.accuracy(_epoch(scale, model)),
        **{name: score(name) for name in SCORES},
    }


def tau(score: Callable[[str], float | None], truth: Values) -> float | None:
    """Kendall's τ-b over the networks that have both; None where these are too few, or all alike."""
    pairs = [(found, truth[model]) for model in truth if (found := score(model)) is not None]
    if len(pairs) < FEWEST:
        return None
    value = kendall(*zip(*pairs, strict=True))
    return None if math.isnan(value) else value


def _report(scale: Scale, results: Results) -> Report:
    deepnets, torchvision = groups(scale)
    truths: list[Values] = [
        {model: found for model in models if (found := results.accuracy(_epoch(scale, model))) is not None}
        for models in (deepnets, torchvision)
    ]
    truths.append({model: found for model, found in accuracies("trained").items() if model in torchvision})
    made = []
    for name, score in rows(scale, results).items():
        known = name in rows_of("table13")
        theirs: list[Number | None] = [
            published("table13", name, column) if known else None for column in range(len(COLUMNS))
        ]
        made.append(Row(name=name, entries=[Entry.plain(tau(score, truth)) for truth in truths], published=theirs))
    notes = [
        f"Kendall's τ-b with accuracies of {len(deepnets)} and {len(torchvision)} networks; the last column is of the "
        "accuracies that torchvision's trained weights have on ImageNet",
        "scores are of random starts, and of accuracy on test images before any training for hypernetworks",
    ]
    return TABLE13.made(scale, results, columns=list(COLUMNS), rows=made, digits=2, notes=notes)


TABLE13 = Experiment(name="table13", stages=[_cells], report=_report)
