"""Which commands there are, and where they live."""

from importlib import import_module

import pytest

from ghn.cli.support.commands import COMMANDS, IN_SHELL, module_of


@pytest.mark.parametrize("command", COMMANDS)
def test_each_has_a_module_that_runs(command: str) -> None:
    module = import_module(module_of(command))
    assert callable(module.run)
    assert module.Options.__doc__


def test_those_of_the_shell_are_commands() -> None:
    assert set(IN_SHELL) <= set(COMMANDS)
