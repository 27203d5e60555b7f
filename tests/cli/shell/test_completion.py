"""`ghn completion`."""

from collections.abc import Callable

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, ghn: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.zoo.catalogue.all_models", list)
    result = ghn("completion", shell)
    assert result.code == 0
    assert result.out.startswith(("# Completion of ghn", "#compdef ghn"))
    assert shell in result.out


def test_other_shells(refused: Callable[..., str]) -> None:
    assert "tcsh" in refused("completion", "tcsh")
