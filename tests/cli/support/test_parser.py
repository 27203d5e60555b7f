"""From words to options, on terminals of any kind."""

import re
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Literal

import pytest
from tyro.conf import Positional

from ghn.cli.support.options import option, switch
from ghn.cli.support.parser import parse, renamed
from tests.common.test_progress import Terminal


@dataclass(frozen=True, kw_only=True)
class Options:
    """A command."""

    name: Annotated[Positional[str], option("NAME", help="Of the thing.")]
    head: Annotated[Literal["keep", "predict"], option(help="What to do.")] = "keep"
    size: Annotated[int | None, option("N", default="its own", help="Of the thing.")] = None
    rates: Annotated[tuple[float, ...] | None, option("RATE...", default="some", help="Of the thing.")] = None
    on: Annotated[bool, switch("Leave it off.")] = True


@pytest.fixture
def module() -> ModuleType:
    made = ModuleType("command")
    made.Options = Options  # type: ignore[attr-defined]
    made.RENAMED = {"--least-size": "--size"}  # type: ignore[attr-defined]
    return made


def test_options_are_read(module: ModuleType) -> None:
    read = parse(module, "x", ["a", "--size", "3", "--no-on", "--rates", "1", "2.5"])
    assert read == Options(name="a", size=3, on=False, rates=(1.0, 2.5))


def test_old_names_go_on_working(module: ModuleType) -> None:
    for words in (["--least-size", "3"], ["--least-size=3"], ["--least_size", "3"]):
        assert parse(module, "x", ["a", *words]).size == 3
    assert renamed(["--other=--least-size"], module.RENAMED) == ["--other=--least-size"]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize("on_a_terminal", [False, True])
@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "Missing from ghn x: NAME; see `ghn x --help`"),
        (
            ["a", "--head", "both"],
            "invalid choice 'both' for argument '--head'. Expected one of ('keep', 'predict'); see `ghn x --help`",
        ),
        (["--sizes", "1"], "Unrecognized options: --sizes (perhaps you meant --size); see `ghn x --help`"),
        (["--no_on", "--bogus=2"], "Unrecognized options: --bogus; see `ghn x --help`"),
        (["--no-on", "--size", "2"], "Missing from ghn x: NAME; see `ghn x --help`"),
        (["a", "--sizes", "1"], "Unrecognized options: --sizes, 1; perhaps you meant --size; see `ghn x --help`"),
    ],
)
def test_bad_usage_is_one_whole_line(
    words: list[str], line: str, on_a_terminal: bool, columns: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm-256color")
    if on_a_terminal:
        monkeypatch.setattr(sys, "stdout", Terminal())
        monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ValueError, match="see") as caught:
        parse(module, "x", words)
    assert str(caught.value) == line


@pytest.mark.parametrize("no_color", ["", "1"])
def test_help_has_colours_unless_asked_not_to(
    no_color: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    with pytest.raises(SystemExit):
        parse(module, "x", ["--help"])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert "(default: its own)" in " ".join(plain.replace("│", " ").split())
    assert ("\x1b[" in terminal.getvalue()) is not bool(no_color)


def test_help_may_describe_what_the_words_name(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    module.described = lambda words: (Options(name="b", size=7), "The thing b.") if "b" in words else None  # type: ignore[attr-defined]
    with pytest.raises(SystemExit):
        parse(module, "x", ["b", "--help"])
    assert "The thing b." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parse(module, "x", ["--help"])
    assert "A command." in capsys.readouterr().out


def test_no_default_is_checked_with_a_library_of_its_own(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typeguard", None)
    assert parse(module, "x", ["a"]).size is None
