"""What commands show, on a terminal and off it."""

import pytest

from ghn.cli.support.terminal import make_table, quantity, show, size


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


@pytest.mark.parametrize("columns", ["20", "40", "80"])
def test_however_narrow_a_terminal_no_column_and_no_digit_is_left_out(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    numbers = ("at 0", "at 100", "difference", "cost")
    table = make_table("title", "start", *numbers, "", right=numbers)
    table.add_row("default", "11.4 ± 2.3", "25.3 ± 1.9", "", "0.0 s", "")
    table.add_row("ghn\n+calibrate", "22.5 ± 0.1", "43.9 ± 0.7", "+18.6 ± 3.2", "12.4 s", "better")
    show(table)
    out = capsys.readouterr().out
    for text in (*numbers, "11.4 ± 2.3", "25.3 ± 1.9", "43.9 ± 0.7", "+18.6 ± 3.2", "12.4 s"):
        assert text in out
    assert "…" not in out
    assert "better" in "".join(out.split())


def test_names_in_tables_are_text_and_do_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table("[b]title\x1b[2J", "name")
    table.add_row("[link=http://x]a[/link] \x1b]0;t\x07\u202e\nnext")
    show(table, "\x9b31m")
    out = capsys.readouterr().out
    assert "[link=http://x]a[/link] \\x1b]0;t\\x07\\u202e" in out
    assert "\\x9b31m" in out
    assert all(line.isprintable() for line in out.splitlines())


def test_names_are_no_emoji_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table("nearest to am.py:a: [bold]3[/bold] :smile:", "model")
    table.add_row("x:a:y")
    show(table, "my.py:a:b")
    out = capsys.readouterr().out
    assert "nearest to am.py:a: [bold]3[/bold] :smile:" in out
    assert "x:a:y" in out
    assert "my.py:a:b" in out
