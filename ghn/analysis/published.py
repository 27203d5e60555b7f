"""What the paper published, to stand beside one's own numbers: its tables, and the results for each of 74 models.

Source: GHN-3 (Knyazev et al., ICML 2023), and the results released with it; facts, in `published.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

GROUP = "torchvision-74"
"""What stands for the paper's 74 classifiers in a list of models."""

_QUANTITIES = {
    "1-epoch": "randinit-sgd1ep",
    "trained": "randinit-sota",
    "ghn2": "ghn2",
    "ghn3-t": "ghn3-t",
    "ghn3-xl": "ghn3",
    "ghn3-xl-1-epoch": "ghn3-sgd1ep",
    "ghn3-xl-10-epochs": "ghn3-sgd10ep",
}
"""What the results call them, by name."""

ACCURACIES = tuple(_QUANTITIES)
"""ImageNet top-1 accuracies that were published of each of the 74: see `accuracies`."""

_CORRELATIONS = ("deepnets 1-epoch", "torchvision 1-epoch", "torchvision trained")
"""Columns of table 13."""


@cache
def facts() -> dict[str, Any]:
    """All that the file holds: `tables` by name, each with columns and rows, and `models` by name."""
    return json.loads((files("ghn.analysis") / "published.json").read_text(encoding="utf-8"))


def models() -> tuple[str, ...]:
    """The paper's 74 classifiers of torchvision, as `ghn predict` names them."""
    return tuple(facts()["models"])


def of_model(model: str, quantity: str) -> float | None:
    """A published result for a torchvision model; None where there is none.

    Args:
        model: One of `models()`.
        quantity: As the results call it: `ghn2`, `ghn3-t`, `ghn3` (no training), `ghn3-sgd1ep`, `randinit-sgd1ep`
            (1 epoch), in per cent; `ghn3-paramnorm`, `randinit-gradnorm`, …, norms.
    """
    value = facts()["models"].get(model, {}).get(quantity)
    return None if value is None else float(value)


def accuracies(column: str) -> dict[str, float]:
    """Accuracies in per cent of the 74 classifiers.

    Args:
        column: `1-epoch` (SGD from a random start), `trained` (torchvision's own weights), or another of `ACCURACIES`.

    Raises:
        ValueError: If there is no such column.
    """
    if column not in _QUANTITIES:
        raise ValueError(f"nothing was published of {column!r}; there are {', '.join(ACCURACIES)}")
    found = {model: of_model(model, _QUANTITIES[column]) for model in models()}
    return {model: accuracy for model, accuracy in found.items() if accuracy is not None}


def correlations(column: str) -> Mapping[str, float | None]:
    """Kendall's τ of table 13 by row.

    Args:
        column: `deepnets 1-epoch`, `torchvision 1-epoch` or `torchvision trained`.
    """
    return _column("table13", _CORRELATIONS.index(column))


def distances(shape: str, *, third: bool = False) -> Mapping[str, float]:
    """Mean absolute cosine distances of table 9 by row; empty for a shape that it does not have.

    Args:
        shape: E.g. `64x3x7x7`.
        third: Whether it is the shape of 1024 channels, of which the table does not say all.
    """
    shapes = facts()["tables"]["table9"]["columns"][:-1]
    if not third and shape not in shapes:
        return {}
    return _column("table9", -1 if third else shapes.index(shape))


def _column(table: str, place: int) -> dict[str, Any]:
    return {name: row[place] for name, row in facts()["tables"][table]["rows"].items()}
