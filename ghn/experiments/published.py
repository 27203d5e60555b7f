"""Numbers of the paper's tables, to stand beside what we measure; the facts are those of `ghn.analysis.published`."""

from __future__ import annotations

from typing import Any, NamedTuple

from ghn.analysis.published import facts


class Number(NamedTuple):
    """A published number; of a single run without a deviation."""

    mean: float
    std: float | None = None


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


def published_row(table: str, row: str, count: int) -> list[Number | None]:
    """The first numbers of a row; None in all places of one that the paper does not have."""
    known = row in rows_of(table)
    return [published(table, row, column) if known else None for column in range(count)]


def raw(table: str, row: str, column: int) -> Any:
    """What the file has there: a number, a pair (mean, deviation), of table 6 three numbers, or None."""
    values = facts()["tables"][table]["rows"][row]
    return values[column]


def rows_of(table: str) -> tuple[str, ...]:
    """Names of a table's rows."""
    return tuple(facts()["tables"][table]["rows"])
