"""What the paper does with networks, as cells: evaluate them untrained, train them, choose the ten best.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4 and appendix).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ghn.experiments.grid.cell import Cell
from ghn.experiments.methods import Method
from ghn.experiments.scales import Scale


class Results:
    """Finished cells' records by digest.

    Args:
        records: As a store has them.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self._records = {record["digest"]: record for record in records}

    def value(self, cell: Cell) -> Mapping[str, Any] | None:
        """What a cell found; None where it failed or is not finished."""
        record = self._records.get(cell.digest)
        return None if record is None else record["value"]

    def time(self, cell: Cell, part: str) -> float | None:
        """Seconds of a part of it; None where they are not known."""
        times = self._records.get(cell.digest, {}).get("times")
        found = times.get(part) if isinstance(times, Mapping) else None
        return found if isinstance(found, float | int) and abs(found) <= sys.float_info.max else None

    def accuracy(self, cell: Cell, point: int = -1) -> float | None:
        """Top-1 in per cent: of an evaluation, or of a training at one of its points (by default the last)."""
        value = self.value(cell)
        if value is None:
            return None
        found = value["top1"] if "top1" in value else value["accuracies"][point]
        return None if found is None else 100 * float(found)


def untrained(scale: Scale, method: Method, model: str, seed: int = 0) -> Cell:
    """A network from a start on test images."""
    evaluation = {"data": scale.data, "image_size": scale.image_size, "images": scale.test_images}
    settings = {"model": model, "init": method.init, "evaluation": evaluation}
    return Cell(kind="evaluate", settings=settings, seed=seed, needs=method.needs)


def trained(scale: Scale, method: Method, model: str, steps: int, seed: int = 0, **changes: Any) -> Cell:
    """A network trained from a start for some steps.

    Args:
        scale: How.
        method: The start.
        model: The network.
        steps: Of the training.
        seed: Of the training.
        changes: Fields of `FinetuneConfig` that differ.
    """
    return _training("finetune", scale, method, model, steps, seed, changes)


def analysis(scale: Scale, task: str, method: Method, *models: str) -> Cell:
    """What `ghn.analysis` finds of networks from a start; the tasks are those of `kinds.analysis`."""
    settings = {
        "task": task,
        "models": list(models),
        "init": method.init,
        "data": scale.data,
        "image_size": scale.image_size,
        "num_classes": scale.classes,
        "images": scale.norm_images,
    }
    return Cell(kind="analysis", settings=settings, needs=method.needs)


def pretrained(scale: Scale, method: Method, model: str, steps: int, seed: int = 0, **changes: Any) -> Method:
    """The start that such a training is for other trainings: "method + 1 epoch"."""
    cell = _training("pretrain", scale, method, model, steps, seed, changes)
    init = "checkpoint:{pretrained}/network.safetensors"
    return Method(name=f"{method.name} + 1 epoch", init=init, needs={"pretrained": cell})


def _training(
    kind: str, scale: Scale, method: Method, model: str, steps: int, seed: int, changes: Mapping[str, Any]
) -> Cell:
    training = {
        "data": scale.data,
        "image_size": scale.image_size,
        "steps": steps,
        "test_images": scale.test_images,
        **scale.training,
        **changes,
    }
    settings = {"model": model, "init": method.init, "training": training}
    return Cell(kind=kind, settings=settings, seed=seed, needs=method.needs)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Networks that a table averages over, and how its ten best are chosen (SETUP of tables 2, 4, 12).

    Attributes:
        name: In tables.
        models: The networks.
    """

    name: str
    models: Sequence[str]

    def chosen_by(self, scale: Scale, method: Method) -> list[Cell]:
        """The cells whose accuracies choose the best for a method: untrained, of random starts after an epoch."""
        if method.random:
            return [trained(scale, method, model, scale.epoch) for model in self.models]
        return [untrained(scale, method, model) for model in self.models]

    def best(self, scale: Scale, method: Method, results: Results) -> list[str]:
        """The networks with the highest accuracies, the first of equal ones first; without those that failed."""
        cells = self.chosen_by(scale, method)
        found = [(results.accuracy(cell), model) for cell, model in zip(cells, self.models, strict=True)]
        sound = [(accuracy, model) for accuracy, model in found if accuracy is not None]
        return [model for _, model in sorted(sound, key=lambda pair: -pair[0])[: scale.best]]


def present(values: Iterable[float | None]) -> list[float]:
    """Those that there are."""
    return [value for value in values if value is not None]
