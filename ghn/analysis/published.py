"""What the paper published of these analyses, to stand beside one's own numbers.

Source: GHN-3 (Knyazev et al., ICML 2023), tables 9 and 13, and the results released with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

GROUP = "torchvision-74"
"""What stands for the paper's 74 classifiers in a list of models."""

ACCURACIES = ("1-epoch", "trained", "ghn2", "ghn3-t", "ghn3-xl", "ghn3-xl-1-epoch", "ghn3-xl-10-epochs")
"""ImageNet top-1 accuracies that were published of each of the 74: see `accuracies`."""


@cache
def _data() -> dict[str, Any]:
    return json.loads((files("ghn.analysis") / "published.json").read_text(encoding="utf-8"))


def models() -> tuple[str, ...]:
    """The paper's 74 classifiers of torchvision, as `ghn predict` names them."""
    return tuple(_data()["accuracies"]["rows"])


def accuracies(column: str) -> dict[str, float]:
    """Accuracies in per cent of the 74 classifiers.

    Args:
        column: `1-epoch` (SGD from a random start), `trained` (torchvision's own weights), or another of `ACCURACIES`.

    Raises:
        ValueError: If there is no such column.
    """
    if column not in ACCURACIES:
        raise ValueError(f"nothing was published of {column!r}; there are {', '.join(ACCURACIES)}")
    place = _data()["accuracies"]["columns"].index(column)
    return {name: row[place] for name, row in _data()["accuracies"]["rows"].items() if row[place] is not None}


def correlations(column: str) -> Mapping[str, float | None]:
    """Kendall's τ of table 13 by row.

    Args:
        column: `deepnets 1-epoch`, `torchvision 1-epoch` or `torchvision trained`.
    """
    place = _data()["table13"]["columns"].index(column)
    return {name: row[place] for name, row in _data()["table13"]["rows"].items()}


def distances(shape: str, *, third: bool = False) -> Mapping[str, float]:
    """Mean absolute cosine distances of table 9 by row; empty for a shape that it does not have.

    Args:
        shape: E.g. `64x3x7x7`.
        third: Whether it is the shape of 1024 channels, of which the table does not say all.
    """
    table = _data()["table9"]
    if third:
        return table["third"]
    if shape not in table["columns"]:
        return {}
    place = table["columns"].index(shape)
    return {name: row[place] for name, row in table["rows"].items()}
