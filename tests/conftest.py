"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder with the reference results (`golden/`) and data sets (`data/`), named by GHN_REFERENCE."""
    folder = os.environ.get("GHN_REFERENCE")
    if not folder:
        pytest.skip("GHN_REFERENCE is not set: no reference results to compare with")
    return Path(folder)
