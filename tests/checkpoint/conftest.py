"""Saved hypernetworks."""

import shutil
from pathlib import Path

import pytest

from ghn.checkpoint import hub, save_pretrained
from ghn.model import GHN
from tests.checkpoint.files import FORMATS, TINY, random_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved hypernetwork."""
    hypernet = GHN(TINY)
    hypernet.load_state_dict(random_state())
    return save_pretrained(hypernet, tmp_path / "saved")


@pytest.fixture
def packaged(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as if it came with the package under the name ghn3-t-test."""
    home = tmp_path / "package"
    shutil.copytree(folder, home / "pretrained" / "ghn3-t-test")
    (home / "pretrained" / "unfinished").mkdir()
    monkeypatch.setattr(hub.resources, "files", lambda _: home)
    return home / "pretrained" / "ghn3-t-test"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A sound released file, alone in its folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "published.pt").write_bytes(FORMATS["joblib"](random_state()))
    return folder / "published.pt"
