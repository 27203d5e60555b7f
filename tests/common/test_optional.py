"""Libraries that are missing, and those whose own imports fail."""

import sys
from pathlib import Path

import pytest

from ghn.common.optional import require


def test_a_library_that_is_there() -> None:
    assert require("json", "text", "reading") is sys.modules["json"]


def test_a_missing_library_is_told_with_the_command_that_installs_it() -> None:
    with pytest.raises(ValueError, match=r'^drawing needs no_such_library, .*: pip install "ghn\[plots\]"$'):
        require("no_such_library", "plots", "drawing")


def test_a_library_that_lacks_another_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        require("half_installed", "plots", "drawing")
