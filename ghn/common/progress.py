"""How far work has come, for people: the one way in which anything shows it, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ghn.common.text import printable

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, Task

LINE_SECONDS = 60.0
"""Least time between two lines of a work in steps, where there is no terminal: a log is to stay short."""

BAR_WIDTH = 16
"""Characters."""

AROUND_TEXT = 50
"""Characters of a line beside its text, more or less."""

LEAST_TEXT = 12
"""Characters that a text has on the narrowest terminal."""


class Bar:
    """Shows what is under way, how far it has come and how long it will take; a context that takes it off at its end.

    On a terminal it is one line that moves. Elsewhere (a file, a pipe) each piece of work is a line, work in steps a
    line a minute.

    Args:
        text: What is under way before the length of the work is known; shown at once.
        quiet: Show nothing but what `warn` says.
    """

    def __init__(self, text: str = "", *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._total = self._done = 0
        self._estimate, self._measured = _Estimate(), False
        self._text = text
        self._last_line = time.monotonic()
        self._live: Progress | None = None
        if not quiet and sys.stderr.isatty():
            self._live, self._most = _live_line()
            self._task = self._live.add_task(self._cut(text), total=1.0, count="")

    def __enter__(self) -> Bar:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take it off the terminal."""
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Say that `text` is under way while the block runs, and what was before it afterwards."""
        before, self._text = self._text, text
        alone = self._live is not None and not self._live.live.is_started
        if alone:
            self.__enter__()
        self._show_text(text)
        try:
            yield
        finally:
            self._text = before
            self._show_text(before)
            if alone:
                self.close()

    def begin(self, total: int, text: str) -> None:
        """So many pieces of work are to be done."""
        self._total, self._done = total, 0
        self._estimate = _Estimate()
        self.move(0.0, f"0/{total:,}", text)

    def advance(self, text: str) -> None:
        """One more piece is done."""
        self._done += 1
        count = f"{self._done:,}/{self._total:,}"
        if self._live is not None:
            self.move(self._done / max(1, self._total), count, text)
        elif not self._quiet:
            _print(f"{count} {text}")

    def partly(self, share: float, text: str) -> None:
        """Besides the pieces that are done, so much of others is."""
        total = max(1, self._total)
        self.move((self._done + share) / total, f"{self._done:,}/{self._total:,}", text)

    def move(self, share: float, count: str, text: str) -> None:
        """A share of the work is done, of which the first call says where it begins.

        Args:
            share: 0 to 1; a smaller one than before counts as that.
            count: The same in words: `12/60`.
            text: What there is to say of it.
        """
        self._text = text
        share = self._estimate.move(share)
        if self._live is not None:
            if not self._measured:
                self._live.columns, self._measured = _columns(lambda: self._estimate.left()), True
            self._live.update(self._task, completed=share, count=count, description=self._cut(text))
        elif not self._quiet and share < 1 and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            left = self._estimate.left()
            _print(f"{count} {text}" + ("" if left is None else f" ({_clock(left)} left)"))

    def say(self, text: str) -> None:
        """Print a line of its own, above what moves."""
        if not self._quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """As `say`, also where all else is quiet: for what must not be missed."""
        if self._live is not None and self._live.live.is_started:
            self._live.console.print(printable(text), markup=False, highlight=False)
        else:
            _print(text)

    def _show_text(self, text: str) -> None:
        """What is under way, without being any further."""
        if self._live is not None:
            self._live.update(self._task, description=self._cut(text), refresh=True)

    def _cut(self, text: str) -> str:
        line = printable(text)
        return line if len(line) <= self._most else f"{line[: self._most - 1]}…"


class Part(Bar):
    """A piece of another bar's work, as a bar for what does it: its steps move the other.

    Args:
        whole: The other.
        text: What the piece is called.
    """

    def __init__(self, whole: Bar, text: str) -> None:
        super().__init__(quiet=True)
        self._whole, self._name = whole, text

    def warn(self, text: str) -> None:
        """On the same terminal."""
        self._whole.warn(f"{self._name}: {text}")

    def move(self, share: float, count: str, text: str) -> None:
        """Of the piece."""
        self._whole.partly(share, f"{self._name}: {count} {text}")

    def _show_text(self, text: str) -> None:
        self._whole._show_text(f"{self._name}: {text}")


class _Estimate:
    """How long work will take, from the share that was done since it began."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._from = self._share = 0.0
        self._at = 0.0

    def move(self, share: float) -> float:
        """The share that counts: pieces that are under way at once may end in any order."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._from = now, share
        if share > self._share:
            self._share, self._at = share, now
        return self._share

    def left(self) -> float | None:
        """Seconds; None where nothing is known yet."""
        if self._began is None or self._share <= self._from:
            return None
        pace = (self._at - self._began) / (self._share - self._from)
        return max(0.0, pace * (1 - self._share) - (time.monotonic() - self._at))


def _print(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    """`0:01:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _live_line() -> tuple[Progress, int]:
    """A line that moves on the terminal, and the characters that its text may have."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr)
    progress = Progress(*_columns(None), console=console, transient=True)
    # Texts are cut, so that the numbers stay.
    return progress, max(LEAST_TEXT, console.width - AROUND_TEXT)


def _columns(seconds_left: Callable[[], float | None] | None) -> tuple[Any, ...]:
    """What the line consists of, with the time left where it is asked for."""
    from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    text = TextColumn("{task.description}", markup=False)
    if seconds_left is None:
        return SpinnerColumn(), text, TimeElapsedColumn()
    left_now = seconds_left

    class Left(ProgressColumn):
        def render(self, task: Task) -> Text:
            left = left_now()
            return Text(f"left {'-:--:--' if left is None else _clock(left)}", style="progress.remaining")

    count = TextColumn("{task.fields[count]}", markup=False, style="progress.download")
    return SpinnerColumn(), BarColumn(bar_width=BAR_WIDTH), count, TimeElapsedColumn(), Left(), text
