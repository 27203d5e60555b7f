"""Results that follow from cells by a rule, so that tables can be computed by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ghn.analysis.diversity import SHAPES
from ghn.analysis.zero_cost.table import SCORES
from ghn.experiments.grid.cell import Cell
from ghn.experiments.protocol import Results


def number(cell: Cell) -> float:
    """Between 0 and 1, of its own for every cell."""
    return int(cell.digest[:6], 16) / 16**6


def value(cell: Cell) -> dict[str, Any]:
    """What a cell of this kind would find."""
    found = number(cell)
    if cell.kind == "evaluate":
        return {"top1": found, "top5": found, "loss": 1.0, "images": 10, "parameters": 1, "nodes": 1}
    if cell.kind in ("finetune", "pretrain"):
        steps = cell.settings["training"]["steps"]
        every = cell.settings["training"].get("validate_every") or steps
        points = list(range(0, steps + 1, every))
        accuracies = [found * (step + 1) / (steps + 1) for step in points]
        return {"steps": points, "accuracies": accuracies, "learning_rate": 0.1, "scores": {"0.1": found, "0.4": None}}
    if cell.kind == "structure":
        quantities = ("nodes", "parameters", "degree", "path_length")
        if "model" in cell.settings:
            return dict.fromkeys(quantities, 100 * found + 1)
        return {name: {"mean": 100 * found, "std": found} for name in quantities} | {"count": cell.settings["count"]}
    if cell.kind == "size":
        return {"layers": 3, "hidden": 64, "heads": 8, "parameters": 1e6 * found}
    if cell.kind == "detect":
        return {"average_precision": found, "steps": 1}
    if cell.kind == "analysis":
        return analysed(cell.settings["task"], found)
    if cell.kind == "norm":
        return {"parameters": 50 * found, "gradient": found}
    assert cell.kind == "train"
    return {"steps": 1, "loss": found, "validation_accuracy": None, "parameters": 1}


def analysed(task: str, found: float) -> dict[str, Any]:
    """What an analysis would find."""
    if task == "scores":
        return {"scores": {name: None if name == "fisher" else found for name in SCORES}, "reasons": {}}
    if task == "variance":
        return {"layers": ["a", "b", "c"], "variances": [1.0, None, found]}
    if task == "filters":
        return {"layer": "a", "filters": 2, "distinct": 2, "distance": found, "weights": [[[[found]]], [[[0.0]]]]}
    distances = [{"asked": shape, "shape": f"{shape}x1", "mean": found, "tensors": 5} for shape in SHAPES]
    return {"distances": distances}


def results(cells: Iterable[Cell]) -> Results:
    """Of all of them."""
    times = {"initialisation": 2.0, "step": 0.5}
    return Results({"digest": cell.digest, "value": value(cell), "times": times} for cell in cells)
