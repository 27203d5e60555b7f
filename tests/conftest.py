"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

from ghn.checkpoint import save_pretrained
from ghn.hypernet import GHN, GHNConfig
from tests.users_models import ZOO


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder with the reference results (`golden/`) and data sets (`data/`), named by GHN_REFERENCE."""
    folder = os.environ.get("GHN_REFERENCE")
    if not folder:
        pytest.skip("GHN_REFERENCE is not set: no reference results to compare with")
    return Path(folder)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: `zoo.py`, and `tiny`, a hypernetwork for 10 classes."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "zoo.py").write_text(ZOO)
    (folder / "broken.py").write_text("import nothing_like_this")
    config = GHNConfig(hidden=8, layers=1, heads=2, max_channels=8, spatial=5, num_classes=10)
    save_pretrained(GHN(config), folder / "tiny")
    return folder
