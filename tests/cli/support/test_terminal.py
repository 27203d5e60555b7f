"""What commands show, on a terminal and off it."""

import io
import sys

import pytest

from ghn.cli.support.terminal import Bar, Steps, make_table, quantity, show, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1000, "1.00 k"),
        (9999, "10.0 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (654_365_184, "654 M"),
        (10**12, "1.00 T"),
        (10**15, "1.00e+03 T"),
    ],
)
def test_quantities(number: int, text: str) -> None:
    assert quantity(number) == text


def test_sizes() -> None:
    assert [size(12), size(999), size(1234), size(102_400_000)] == ["12 B", "999 B", "1.23 kB", "102 MB"]


def test_steps_are_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps().step("working"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_steps_on_a_terminal(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Steps(quiet=quiet).step("working on [red]x"):
        pass
    assert ("working on [red]x" in terminal.getvalue()) is not quiet


def test_an_error_ends_a_step_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(KeyError), Steps().step("working"):
        raise KeyError


def test_what_is_shown_is_text_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show("a [red]line[/red]", f"{'long ' * 60}line")
    assert capsys.readouterr().out == f"a [red]line[/red]\n{'long ' * 60}line\n"


def test_numbers_stand_right_and_are_never_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "16")
    table = make_table("title", "name", "count", right=("count",))
    table.add_row("first " * 6, "1,234,567")
    table.add_row("x", "1")
    show(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("title")
    assert all(len(line) <= 16 for line in lines)
    assert any(line.endswith("1,234,567") for line in lines)
    assert lines[-1].rstrip().endswith("  1")
    assert len(lines[-1].rstrip()) == len(lines[1].rstrip())


def test_names_in_tables_are_text_and_do_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table("[b]title\x1b[2J", "name")
    table.add_row("[link=http://x]a[/link] \x1b]0;t\x07\u202e\nnext")
    show(table, "\x9b31m")
    out = capsys.readouterr().out
    assert "[link=http://x]a[/link] \\x1b]0;t\\x07\\u202e" in out
    assert "\\x9b31m" in out
    assert all(line.isprintable() for line in out.splitlines())


def test_a_bar_is_lines_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("loading") as bar:
        bar.begin(1200, "evaluating")
        bar.advance("one: 5 %\x1b[2J")
    assert capsys.readouterr().err == "1/1,200 one: 5 %\\x1b[2J\n"
    with Bar("loading", quiet=True) as bar:
        bar.begin(1, "evaluating")
        bar.advance("one")
    assert capsys.readouterr().err == ""


def test_a_bar_moves_with_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Bar("loading") as bar:
        bar.begin(3, "evaluating")
        for name in ("first", "second"):
            bar.advance(name)
            bar._progress.refresh()  # type: ignore[union-attr]
    shown = sys.stderr.getvalue()  # type: ignore[union-attr]
    assert "loading" in shown
    assert "1/3" in shown
    assert "2/3" in shown
    assert "left" in shown
