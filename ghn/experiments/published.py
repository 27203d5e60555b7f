"""What the paper published, to stand beside what we measure (facts; the source is in the file)."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple


class Number(NamedTuple):
    """A published number; of a single run without a deviation."""

    mean: float
    std: float | None = None


@cache
def _file() -> dict[str, Any]:
    text = resources.files("ghn").joinpath("experiments", "published.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def published(table: str, row: str, column: int) -> Number | None:
    """A number of a table.

    Args:
        table: `table1` … `table13`.
        row: As the file names it.
        column: From 0 on.

    Returns:
        None where the paper has none.

    Raises:
        KeyError: For a table or row that there is not.
        IndexError: For such a column.
    """
    value = raw(table, row, column)
    if value is None:
        return None
    return Number(*value) if isinstance(value, list) else Number(value)


def raw(table: str, row: str, column: int) -> Any:
    """What the file has there: a number, a pair (mean, deviation), of table 6 three numbers, or None."""
    values = _file()["tables"][table]["rows"][row]
    return values[column]


def rows_of(table: str) -> tuple[str, ...]:
    """Names of a table's rows."""
    return tuple(_file()["tables"][table]["rows"])


def models() -> tuple[str, ...]:
    """The torchvision models of the paper."""
    return tuple(_file()["models"])


def of_model(model: str, quantity: str) -> float | None:
    """A published result for a torchvision model.

    Args:
        model: One of `models()`.
        quantity: `ghn2`, `ghn3-t`, `ghn3` (no training), `ghn3-sgd1ep`, `randinit-sgd1ep` (1 epoch), …; in per cent.
    """
    value = _file()["models"].get(model, {}).get(quantity)
    return None if value is None else float(value)
