from collections import Counter

import pytest
import torch
from torch.func import functional_call

from ghn.deepnets import Predefined
from ghn.deepnets.predefined import resnet50

pytest.importorskip("torchvision")


@pytest.mark.parametrize("image_size", [32, 224])
@pytest.mark.parametrize("index", [0, 1])
def test_networks(index: int, image_size: int) -> None:
    network, graph, _ = Predefined(image_size, 7)[index]
    named = dict(network.named_parameters())
    assert all(parameter.is_meta for parameter in named.values())
    assert set(graph.parameters) == set(named)
    assert not graph.kept
    network = network.to_empty(device="cpu")
    weights = {name: 0.05 * torch.randn(parameter.shape) for name, parameter in named.items()}
    assert functional_call(network, weights, (torch.randn(2, 3, image_size, image_size),)).shape == (2, 7)


def test_sizes() -> None:
    small, large = (sum(p.numel() for p in resnet50(10, image_size).parameters()) for image_size in (32, 224))
    assert (small, large) == (23_520_842, 23_528_522)
    network, graph, net_args = Predefined()[1]
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(1.2e6, rel=0.05)
    assert Counter(node.op for node in graph.nodes)["msa"] == 12
    assert net_args["C"] == 128


def test_list() -> None:
    assert len(Predefined()) == 2
    with pytest.raises(IndexError):
        Predefined()[2]
