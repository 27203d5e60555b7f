"""An error that says all there is to say."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from ghn.cli import main
from ghn.cli.support.errors import CommandError
from tests.cli.conftest import Run


def fail(options: Any) -> None:
    raise CommandError("rank 1\nis gone")


def test_a_command_that_cannot_do_its_work_says_why_and_no_more(
    monkeypatch: pytest.MonkeyPatch, ghn: Callable[..., Run]
) -> None:
    monkeypatch.setattr(import_module("ghn.cli.info"), "run", fail)
    assert ghn("info") == Run(code=1, out="", err="error: rank 1 is gone\n")
    with pytest.raises(CommandError):
        main(["info", "--debug"])


def test_it_is_not_taken_for_bad_usage() -> None:
    assert not issubclass(CommandError, ValueError)
