"""Libraries that are missing, and those whose own imports fail."""

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from ghn.common import optional
from ghn.common.optional import require, versions


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


def test_they_are_those_that_run() -> None:
    found = versions()
    assert found["numpy"] == np.__version__
    assert torch.__version__.startswith(found["torch"].partition("+")[0])
    assert "ghn" in found


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        if name == "timm":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(optional, "version", missing)
    found = versions()
    assert "timm" not in found
    assert found["torch"] == "1.0"
