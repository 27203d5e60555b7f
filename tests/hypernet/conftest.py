"""A small hypernetwork with weights of a size that makes every part matter."""

from typing import Any

import pytest
import torch

from ghn.hypernet import GHNConfig
from ghn.model import GHN
from tests.hypernet.graphs import CLASSES


def small_hypernet(seed: int = 0, **changes: Any) -> GHN:
    """A hypernetwork of 8 channels and side 11, its weights drawn with a larger spread than fresh ones."""
    options = {"hidden": 16, "layers": 2, "heads": 2, "num_classes": CLASSES, "max_channels": 8, "spatial": 11}
    hypernet = GHN(GHNConfig(**{**options, **changes}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in hypernet.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return hypernet


@pytest.fixture
def hypernet() -> GHN:
    return small_hypernet()
