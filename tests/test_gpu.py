"""What needs a CUDA device: `pytest -m gpu`."""

import copy

import pytest
import torch
from torch import nn

from ghn import GHN, GHNConfig, trace

pytestmark = pytest.mark.gpu

IMAGE = torch.zeros(2, 3, 16, 16)


@pytest.fixture(scope="module")
def hypernet() -> GHN:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.manual_seed(0)
    return GHN(GHNConfig.preset("ghn3-t", num_classes=5, spatial=11)).eval()


def network() -> nn.Module:
    body = [nn.Conv2d(3, 70, 3), nn.BatchNorm2d(70), nn.ReLU(), nn.Conv2d(70, 8, 5, groups=2)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


@pytest.mark.parametrize("where", ["model", "hypernetwork", "both"])
def test_device_does_not_matter(hypernet: GHN, where: str) -> None:
    model = network()
    expected = hypernet.predict(model, IMAGE)
    moved = copy.deepcopy(hypernet).cuda() if where != "model" else hypernet
    target = copy.deepcopy(model).cuda() if where != "hypernetwork" else copy.deepcopy(model)
    moved.initialize(target, IMAGE)
    for name, parameter in target.named_parameters():
        torch.testing.assert_close(parameter.detach().cpu(), expected[name], rtol=1e-4, atol=1e-5)


def test_parts_on_two_devices(hypernet: GHN) -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5))
    expected = hypernet.predict(model, torch.zeros(2, 8))
    model[2].cuda()
    assert trace(model, torch.zeros(2, 8)).traced_by == "meta"
    report = hypernet.initialize(model, torch.zeros(2, 8))
    assert report.fraction == 1
    assert model[2].weight.is_cuda
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach().cpu(), expected[name])


def test_gradients_reach_the_hypernetwork(hypernet: GHN) -> None:
    moved = copy.deepcopy(hypernet).cuda().train()
    graph = trace(network(), IMAGE)
    sum(tensor.square().sum() for tensor in moved([graph])[0].values()).backward()
    assert all(parameter.grad is not None for parameter in moved.gnn.parameters())


def test_built_where_cuda_is_the_default(hypernet: GHN) -> None:
    with torch.device("cuda"):
        made = GHN(hypernet.config).eval()
    made.load_state_dict(hypernet.state_dict())
    for name, tensor in hypernet.predict(network(), IMAGE).items():
        torch.testing.assert_close(made.predict(network(), IMAGE)[name], tensor, rtol=1e-4, atol=1e-5)
