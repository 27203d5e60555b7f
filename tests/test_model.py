"""The hypernetwork as users know it."""

import json
from pathlib import Path

import pytest
import torch

from ghn.hypernet import PRESETS, GHNConfig
from ghn.model import GHN


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_goes_through_files(name: str, tmp_path: Path) -> None:
    config = GHNConfig.preset(name, num_classes=7, hidden=16, heads=2, max_channels=8, spatial=11)
    hypernet = GHN(config)
    hypernet.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == config.to_dict()
    loaded = GHN.from_pretrained(tmp_path)
    assert loaded.config == config
    assert {key: tensor.shape for key, tensor in loaded.state_dict().items()} == {
        key: tensor.shape for key, tensor in hypernet.state_dict().items()
    }
    assert all(torch.equal(loaded.state_dict()[key], tensor) for key, tensor in hypernet.state_dict().items())
