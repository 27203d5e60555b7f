"""What commands show: steps under way on stderr, results on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ghn.common.text import printable


class Steps:
    """Tells on stderr which step is under way and for how long; silent where stderr is no terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(file=sys.stderr)
        self.shown = self.console.is_terminal and not quiet

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show `text` while the block runs."""
        if not self.shown:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task(printable(text), total=None)
            yield


class Bar:
    """Progress on stderr, as a context: a bar with the time left on a terminal, else a line for each piece of work.

    Args:
        text: What is under way before the work is known.
        quiet: Show nothing.
    """

    def __init__(self, text: str, *, quiet: bool = False) -> None:
        self._quiet = quiet
        console = Console(file=sys.stderr)
        self._total = self._done = 0
        self._progress: Progress | None = None
        if console.is_terminal and not quiet:
            self._progress = Progress(
                SpinnerColumn(),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
                console=console,
                transient=True,
                # Of all that was done: pieces of work differ.
                speed_estimate_period=1e9,
            )
            # The text is cut, so that the numbers stay.
            self._most = max(10, console.width - 60)
            self._task = self._progress.add_task(self._cut(text), total=None)

    def __enter__(self) -> Bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, total: int, text: str) -> None:
        """So many pieces of work are to be done."""
        self._total = total
        if self._progress is not None:
            self._progress.reset(self._task, total=total, description=self._cut(text))

    def advance(self, text: str) -> None:
        """One more is done."""
        self._done += 1
        if self._progress is not None:
            self._progress.update(self._task, advance=1, description=self._cut(text))
        elif not self._quiet:
            self._say(f"{self._done:,}/{self._total:,} {text}")

    def close(self) -> None:
        """Take it off the terminal."""
        if self._progress is not None:
            self._progress.stop()

    def _cut(self, text: str) -> str:
        line = printable(text)
        return line if len(line) <= self._most else f"{line[: self._most - 1]}…"

    def _say(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)


class TextTable(Table):
    """A table whose cells are text: what stands in brackets is no markup, and nothing acts on the terminal."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(_text(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def _text(text: str) -> Text:
    return Text(printable(text, keep="\n"))


def make_table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table without frame; columns named in `right` are aligned right and never broken."""
    table = TextTable(
        title=printable(title), title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for column in columns:
        number = column in right
        table.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table


def show(*parts: Table | str) -> None:
    """Print tables and texts to stdout; what stands in brackets is text, not markup."""
    console = Console(highlight=False)
    for part in parts:
        console.print(part if isinstance(part, Table) else _text(part), soft_wrap=not isinstance(part, Table))


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
