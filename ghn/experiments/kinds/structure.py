"""What networks look like as graphs: size, degree, path length (table 3)."""

from __future__ import annotations

from statistics import fmean, pstdev

import torch

from ghn.deepnets import summarise
from ghn.deepnets.statistics import mean_path_length
from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.graph.trace import trace
from ghn.zoo import ModelRequest, build_model

QUANTITIES = ("nodes", "parameters", "degree", "path_length")


def _run(job: Job) -> Found:
    """The settings are `split`, `count`, `image_size`, `num_classes`; or `model` instead of the first two."""
    settings = job.settings
    size, classes = settings["image_size"], settings["num_classes"]
    if "model" in settings:
        return Found(value=_of_model(settings["model"], size, classes))
    found = summarise(settings["split"], settings["count"], image_size=size, num_classes=classes)
    spreads = found.spreads()
    return Found(
        value={name: {"mean": spreads[name].mean, "std": spreads[name].std} for name in QUANTITIES}
        | {"count": found.count}
    )


def _of_model(name: str, size: int, classes: int) -> dict[str, float]:
    request = ModelRequest(name=name, num_classes=classes, image_size=size, lenient=True, meta=True)
    model = build_model(request).model
    graph = trace(model, torch.zeros(2, 3, size, size))
    return {
        "nodes": len(graph),
        "parameters": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        "degree": 2 * len(graph.edges) / len(graph),
        "path_length": mean_path_length(graph),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Mean and deviation, as a split has them."""
    return {"mean": fmean(values), "std": pstdev(values)}


KIND = Kind(version=1, run=_run)
