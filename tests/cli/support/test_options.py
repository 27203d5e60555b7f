"""Options that mean the same in every command."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_type_hints

import pytest

from ghn.cli import COMMANDS
from ghn.cli.support import options as shared
from ghn.cli.support.commands import module_of
from ghn.cli.support.options import check_seed, check_seen
from tests.cli.conftest import Run

SAME: dict[str, Any] = {"device": shared.Device, "quiet": shared.Quiet, "json": shared.Json, "force": shared.Force} | {
    "data_root": shared.DataRoot
}
"""Options, and the type that they have wherever they are."""


def options_of(command: str) -> Any:
    return import_module(module_of(command)).Options


def text_of(command: str, ghn: Callable[..., Run]) -> str:
    return " ".join(re.sub("[│╭╮╰╯]", " ", ghn(command, "--help").out).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_has_one_meaning(command: str, ghn: Callable[..., Run]) -> None:
    hints = get_type_hints(options_of(command), include_extras=True)
    shown = text_of(command, ghn)
    for name, kind in SAME.items():
        if name in hints:
            (extra,) = kind.__metadata__
            assert extra in hints[name].__metadata__, f"--{name} of {command} is not that of other commands"
    if "seed" in hints:
        assert shared.SEED in shown
    if "output" in hints:
        assert re.search(r"-o (FILE|FOLDER)(\.\.\.)?, --output \1", shown)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_writes_a_file_that_is_named_can_replace_it(command: str) -> None:
    names = set(options_of(command).__dataclass_fields__)
    # A run's folder is gone on with, never replaced.
    assert ("force" in names) == ("output" in names and command != "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_speaks_of_none_or_of_a_default_that_is_the_opposite(command: str, ghn: Callable[..., Run]) -> None:
    shown = text_of(command, ghn)
    assert "None" not in shown
    assert "(default: )" not in shown
    assert not re.search(r"\(default: (True|False)\)", shown)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_seeds_that_pytorch_does_not_take(seed: int) -> None:
    with pytest.raises(ValueError, match=r"^--seed must fit in 64 bits, not "):
        check_seed(seed)


def test_seeds_that_it_takes() -> None:
    check_seed(2**63 - 1)
    check_seed(-(2**63))


def test_a_result_that_nobody_sees_is_refused() -> None:
    with pytest.raises(ValueError, match="--quiet shows no result, and nothing keeps it: add --output FILE, or --json"):
        check_seen(quiet=True, json=False, kept=False)
    for seen in ({"quiet": False}, {"json": True}, {"kept": True}):
        check_seen(**{"quiet": True, "json": False, "kept": False, **seen})
