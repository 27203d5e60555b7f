"""What commands show on stdout: results. What is under way goes to stderr, by `ghn.common.progress`."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ghn.common.text import printable

NARROWEST = 5
"""Characters to which a column of texts may be broken."""

READABLE = 20
"""The same where lines are longer than the terminal's anyway."""

BETWEEN_COLUMNS = 2


class TextTable(Table):
    """A table whose cells are text: what stands in brackets is no markup, and nothing acts on the terminal.

    Args:
        heading: Stands above it. A title of rich's would be broken at the table's width, and not at the terminal's.
    """

    def __init__(self, heading: str, **options: Any) -> None:
        super().__init__(**options)
        self.heading = _text(heading)

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(_text(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def _text(text: str) -> Text:
    return Text(printable(text, keep="\n"))


def make_table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table without frame; columns named in `right` are aligned right and never broken."""
    table = TextTable(title, box=None, pad_edge=False, header_style="dim")
    for column in columns:
        number = column in right
        table.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table


def show(*parts: Table | str) -> None:
    """Print tables and texts to stdout; what stands in brackets is text, not markup."""
    console = Console(highlight=False, emoji=False)
    for part in parts:
        if isinstance(part, TextTable):
            console.print(part.heading, style="bold")
        if isinstance(part, Table):
            # Where it cannot be so narrow the terminal breaks its lines; rich would leave out columns and digits.
            before = console.width
            if _width(part, NARROWEST) > console.width:
                console.width = _width(part, READABLE)
            console.print(part, crop=False)
            console.width = before
        else:
            console.print(_text(part), soft_wrap=True)


def _width(table: Table, longest_text: int) -> int:
    """Characters of a line of a table in which texts are broken to so many, and numbers are not."""
    widths = []
    for column in table.columns:
        lines = [line for cell in (column.header, *column.cells) for line in str(cell).split("\n")]
        longest = max(map(cell_len, lines), default=0)
        widths.append(longest if column.no_wrap else min(longest, longest_text))
    return sum(widths) + BETWEEN_COLUMNS * (len(widths) - 1)


def width() -> int:
    """Characters of a line of stdout."""
    return Console().width


def quantity(number: int) -> str:
    """A count in three digits: 999, 25.6 M."""
    value, unit = float(number), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, f" {larger}"
    return f"{value:#.3g}".removesuffix(".") + unit if unit else str(number)


def size(count: int) -> str:
    """Bytes in three digits: 102 MB."""
    return f"{quantity(count)}B" if count >= 1000 else f"{count} B"
