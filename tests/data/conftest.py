"""A small image set whose images can be told apart, and a cache of each test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ghn.data import ImageSet


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_set() -> Callable[..., ImageSet]:
    """Makes a set of images with given labels; all pixels of image i are i."""

    def make(labels: list[int], classes: int = 3) -> ImageSet:
        images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4).contiguous()
        return ImageSet(
            name="toy",
            images=images,
            labels=torch.tensor(labels, dtype=torch.int64),
            classes=tuple(str(index) for index in range(classes)),
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
        )

    return make
