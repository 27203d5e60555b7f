"""Table 1: sizes of hypernetworks, and how long their training takes. Table 3, figure 3: what networks look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.grid.cell import Cell
from ghn.experiments.networks import short
from ghn.experiments.protocol import Results
from ghn.experiments.published import published
from ghn.experiments.report import Entry, Plot, Report, Row, Series
from ghn.experiments.scales import Scale
from ghn.hypernet.config import GHNConfig
from ghn.meta.runs import RUNS

PRESETS = ("ghn2", "ghn2-s", "ghn3-t", "ghn3-s", "ghn3-l", "ghn3-xl")

SECONDS_A_DAY = 86_400


def _config(name: str, classes: int) -> GHNConfig:
    if name == "ghn2-s":
        return GHNConfig.preset("ghn2", num_classes=classes, hidden=128, max_channels=128)
    return GHNConfig.preset(name, num_classes=classes)


def _size(scale: Scale, name: str) -> Cell:
    # The published sizes are those for ImageNet.
    return Cell(kind="size", settings={"hypernet": _config(name, 1000).to_dict()})


def _training(scale: Scale, name: str) -> Cell:
    """A training of the size; a few steps in the small scale, which say how long one takes."""
    config = replace(scale.meta, hypernet=replace(_config(name, scale.classes), spatial=scale.meta.hypernet.spatial))
    if scale.name == "small":
        config = replace(config, steps=5, log_every=1)
    elif name.startswith("ghn3"):
        config = RUNS[f"{name}-m8"].config
    values = config.to_dict()
    for local in ("data_root", "seed"):
        del values[local]
    return Cell(kind="train", settings={"config": values})


def _trained(scale: Scale) -> Sequence[str]:
    return PRESETS[:4] if scale.name == "small" else PRESETS


def _report1(scale: Scale, results: Results) -> Report:
    rows = []
    for name in PRESETS:
        value = results.value(_size(scale, name)) or {}
        cell = _training(scale, name)
        step = results.time(cell, "step") if name in _trained(scale) else None
        days = step and step * cell.settings["config"]["steps"] / SECONDS_A_DAY
        seconds = step if scale.name == "small" else days
        millions = value.get("parameters") and value["parameters"] / 1e6
        ours = [value.get("layers"), value.get("hidden"), value.get("heads"), millions, seconds]
        theirs = [published("table1", name, column) for column in range(5)]
        if scale.name == "small":
            theirs[4] = None
        rows.append(Row(name=name, entries=[Entry.plain(number) for number in ours], published=theirs))
    last = "seconds a step" if scale.name == "small" else "days of training"
    notes = ["layers: those of the Graphormer; the gated network of GHN-2 has none of them and is counted as 0"]
    if scale.name == "small":
        notes.append(
            "seconds a step are of this machine and differ from run to run; ghn3-l and ghn3-xl are not trained"
        )
    columns = ["layers", "hidden", "heads", "parameters, M", last]
    return TABLE1.made(scale, results, columns=columns, rows=rows, digits=2, notes=notes)


TABLE1 = Experiment(
    name="table1",
    stages=[
        lambda scale, _: [_size(scale, name) for name in PRESETS] + [_training(scale, name) for name in _trained(scale)]
    ],
    report=_report1,
)


def _count(scale: Scale, split: str) -> int:
    """Networks of a split that are looked at; more than are trained where training is what takes time."""
    return scale.splits[split] if scale.name == "paper" else 20


def _split(scale: Scale, split: str) -> Cell:
    count = _count(scale, split)
    settings = {"split": split, "count": count, "image_size": scale.image_size, "num_classes": scale.classes}
    return Cell(kind="structure", settings=settings)


def _model(scale: Scale, model: str) -> Cell:
    settings = {"model": model, "image_size": scale.image_size, "num_classes": scale.classes}
    return Cell(kind="structure", settings=settings)


def _structures(scale: Scale, _: Results) -> list[Cell]:
    return [_split(scale, split) for split in scale.splits] + [_model(scale, model) for model in scale.models]


QUANTITIES = {"parameters": "parameters, M", "degree": "degree", "path_length": "path length", "nodes": "nodes"}


def _spread(value: Any, quantity: str) -> Entry | None:
    return (
        None if value is None else Entry(mean=value[quantity]["mean"], std=value[quantity]["std"], count=value["count"])
    )


def _report3(scale: Scale, results: Results) -> Report:
    rows = []
    for split in scale.splits:
        value = results.value(_split(scale, split))
        entries = [_spread(value, quantity) for quantity in QUANTITIES]
        rows.append(Row(name=f"{split} ({_count(scale, split)})", entries=entries, published=[None] * len(entries)))
    found = [value for model in scale.models if (value := results.value(_model(scale, model))) is not None]
    entries = [Entry.of(value[quantity] for value in found) for quantity in QUANTITIES]
    rows.append(Row(name=f"pytorch ({len(scale.models)})", entries=entries, published=[None] * len(entries)))
    return TABLE3.made(scale, results, columns=list(QUANTITIES.values()), rows=rows, notes=["mean ± std over networks"])


TABLE3 = Experiment(
    name="table3",
    stages=[_structures],
    report=_report3,
)


def _report_figure3(scale: Scale, results: Results) -> Report:
    """Path length over nodes: single models, and splits as means."""
    models = [(model, value) for model in scale.models if (value := results.value(_model(scale, model))) is not None]
    splits = [(split, value) for split in scale.splits if (value := results.value(_split(scale, split))) is not None]
    series = [
        Series(
            name="torchvision models",
            x=[value["nodes"] for _, value in models],
            y=[value["path_length"] for _, value in models],
        )
    ]
    for split, value in splits:
        series.append(Series(name=f"{split} (mean)", x=[value["nodes"]["mean"]], y=[value["path_length"]["mean"]]))
    rows = [
        Row(
            name=short(model),
            entries=[Entry.plain(value[quantity]) for quantity in QUANTITIES],
            published=[None] * len(QUANTITIES),
        )
        for model, value in models
    ]
    plot = Plot(
        title="graphs of networks", x="nodes", y="mean shortest path", series=series, points=True, logarithmic=True
    )
    notes = ["the settings at hand do not say what the paper's figure 3 shows; this one draws table 3's networks"]
    return FIGURE3.made(
        scale, results, columns=list(QUANTITIES.values()), rows=rows, plots=[plot], notes=notes, digits=2
    )


FIGURE3 = Experiment(name="figure3", stages=[_structures], report=_report_figure3)
