"""Progress on a terminal, in a file, and as a part of another's."""

import io
import time
from types import SimpleNamespace

import pytest

from ghn.common import progress
from ghn.common.progress import Bar, Part


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In place of stderr, 120 columns wide."""
    terminal = Terminal()
    # Not of `sys` itself, which pytest sets anew between its phases.
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=terminal))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the time is."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def refreshed(bar: Bar) -> None:
    assert bar._live is not None
    bar._live.refresh()


def test_a_step_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("loading") as bar, bar.step("working"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_step_on_a_terminal_with_and_without_a_bar_around_it(quiet: bool, terminal: Terminal) -> None:
    with Bar(quiet=quiet).step("working on [red]x"):
        pass
    assert ("working on [red]x" in terminal.getvalue()) is not quiet
    with Bar("before", quiet=quiet) as bar:
        with bar.step("meanwhile\x1b[2J"):
            pass
        terminal.truncate(0)
        if not quiet:
            refreshed(bar)
    assert ("meanwhile" in terminal.getvalue()) is False
    assert ("before" in terminal.getvalue()) is not quiet


def test_an_error_ends_a_step_and_goes_on(terminal: Terminal) -> None:
    bar = Bar()
    with pytest.raises(KeyError), bar.step("working"):
        raise KeyError
    assert bar._live is not None
    assert not bar._live.live.is_started


def test_pieces_are_lines_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("loading") as bar:
        bar.begin(1200, "evaluating")
        bar.advance("one: 5 %\x1b[2J")
    assert capsys.readouterr().err == "1/1,200 one: 5 %\\x1b[2J\n"
    with Bar("loading", quiet=True) as bar:
        bar.begin(1, "evaluating")
        bar.advance("one")
    assert capsys.readouterr().err == ""


def test_steps_are_a_line_a_minute_off_a_terminal(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    bar = Bar()
    for step in range(11):
        bar.move(step / 10, f"{step}/10", "loss 1.5")
        clock[0] += 24
    # After 72 and 144 seconds, at a step in 24 seconds; not at the end, where the result follows.
    assert capsys.readouterr().err.splitlines() == [
        "3/10 loss 1.5 (0:02:48 left)",
        "6/10 loss 1.5 (0:01:36 left)",
        "9/10 loss 1.5 (0:00:24 left)",
    ]


def test_pieces_and_the_time_left_stand_on_a_terminal(terminal: Terminal) -> None:
    with Bar("loading") as bar:
        assert "loading" in terminal.getvalue(), "shown at once"
        bar.begin(3, "evaluating")
        refreshed(bar)
        assert "0/3" in terminal.getvalue()
        assert "left -:--:--" in terminal.getvalue()
        for name in ("first", "second"):
            bar.advance(name)
            refreshed(bar)
    shown = terminal.getvalue()
    assert "2/3" in shown
    assert "second" in shown
    assert "left 0:00:0" in shown


def test_texts_are_cut_so_that_numbers_stay(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with Bar() as bar:
        bar.begin(1000, "x" * 200)
        refreshed(bar)
        lines = [line for line in terminal.getvalue().splitlines() if "0/1,000" in line]
    assert "x…" in lines[-1]
    assert "left -:--:--" in lines[-1]


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_the_time_left_counts_from_where_the_work_began(start: float, clock: list[float]) -> None:
    estimate = progress._Estimate()
    assert estimate.left() is None
    estimate.move(start)
    clock[0] += 10
    assert estimate.left() is None
    estimate.move(start + 0.1)
    assert estimate.left() == pytest.approx(10 / 0.1 * (0.9 - start))
    clock[0] += 5
    assert estimate.left() == pytest.approx(10 / 0.1 * (0.9 - start) - 5), "it goes on while nothing moves"
    # What is less far than before is as far.
    assert estimate.move(0.0) == start + 0.1
    assert estimate.left() == pytest.approx(10 / 0.1 * (0.9 - start) - 5)


def test_the_next_of_several_works_begins_anew(clock: list[float]) -> None:
    bar = Bar(quiet=True)
    for _ in range(2):
        bar.begin(2, "x")
        assert bar._estimate.left() is None
        clock[0] += 10
        bar.advance("x")
        bar.partly(0.0, "x")
        assert bar._estimate.left() == pytest.approx(10)


def test_lines_stand_above_what_moves(terminal: Terminal) -> None:
    with Bar() as bar:
        bar.begin(2, "x")
        bar.say("a line [with brackets]\x1b[2J")
    assert "a line [with brackets]\\x1b[2J\n" in terminal.getvalue()


def test_what_must_not_be_missed_is_said_also_where_all_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(quiet=True)
    bar.say("nothing")
    bar.warn("the disk is full")
    assert capsys.readouterr().err == "the disk is full\n"


def test_a_part_moves_the_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Bar()
    whole.begin(4, "all")
    whole.advance("the first")
    moves: list[tuple[float, str, str]] = []
    monkeypatch.setattr(whole, "move", lambda *given: moves.append(given))
    part = Part(whole, "ghn")
    part.move(0.5, "3/6", "loss 1.0")
    assert moves == [(pytest.approx(1.5 / 4), "1/4", "ghn: 3/6 loss 1.0")]
    capsys.readouterr()
    part.say("nothing")
    part.warn("the disk is full")
    assert capsys.readouterr().err == "ghn: the disk is full\n"


def test_the_first_line_does_not_wait_for_work(terminal: Terminal) -> None:
    before = time.perf_counter()
    with Bar("loading"):
        assert "loading" in terminal.getvalue()
    assert time.perf_counter() - before < 1
