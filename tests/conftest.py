"""Fixtures shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ghn.checkpoint import save_pretrained
from ghn.hypernet import GHN, GHNConfig
from tests.users_models import ZOO


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests may take an hour before they count as hanging."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(3600))


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


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Any]:
    """This process alone, as a mesh to make sharded tensors on."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    from ghn.training.ranks import end_group

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    end_group()
