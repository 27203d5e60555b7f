"""Networks of DeepNets-1M by names that every command takes."""

from __future__ import annotations

import torch

from ghn.deepnets import DeepNets, network_from_arguments
from ghn.experiments.networks import deepnets_name, deepnets_names, short, torchvision_names
from ghn.zoo import ModelRequest, build_model


def test_a_name_builds_that_network() -> None:
    name = deepnets_name("wide", 1)
    torch.manual_seed(0)
    found = build_model(ModelRequest(name=name, num_classes=10, image_size=32)).model
    torch.manual_seed(0)
    arguments = DeepNets("wide", 32, 10).arguments(1)
    direct = network_from_arguments(arguments, 10, 32, running_statistics=True)
    assert found.state_dict().keys() == direct.state_dict().keys()
    assert all(torch.equal(value, direct.state_dict()[key]) for key, value in found.state_dict().items())


def test_names_are_short_in_tables() -> None:
    assert [short(name) for name in deepnets_names({"test": 2, "deep": 1})] == ["test 0", "test 1", "deep 0"]
    assert short("resnet18") == "resnet18"
    assert short("timm:resnet10t") == "resnet10t"
    assert len(torchvision_names()) == 74
