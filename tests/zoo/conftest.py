"""A user's folder to import from, and a machine without network."""

import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def users_modules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folder is on the Python path."""
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection, any download fails."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
