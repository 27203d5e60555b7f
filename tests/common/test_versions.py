"""Versions that stand beside results."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pytest
import torch

from ghn.common import versions as module
from ghn.common.versions import versions


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

    monkeypatch.setattr(module, "version", missing)
    found = versions()
    assert "timm" not in found
    assert found["torch"] == "1.0"
