import pytest
import torch

from ghn.deepnets.operations.gate import ChannelGate
from tests.deepnets.operations.images import images


@pytest.mark.parametrize("stride", [1, 2])
def test_gate(stride: int) -> None:
    x = images(5, 6)
    gate = ChannelGate(8, stride)
    result = gate(x)
    for image in range(2):
        squeezed = torch.stack([x[image, channel].sum() / 30 for channel in range(8)])
        excited = gate.fc2(gate.fc1(squeezed).clamp(min=0))
        excited = excited * (excited + 3).clamp(0, 6) / 6
        expected = torch.stack([x[image, channel] * excited[channel] for channel in range(8)])
        torch.testing.assert_close(result[image], expected[:, ::stride, ::stride])
