"""A forward pass that ends the program is an error like others."""

import sys

import pytest
import torch
from torch import Tensor, nn

import ghn
from ghn.graph.run.calling import call_model


class Exits(nn.Module):
    """Leaves instead of returning."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        self.layer(x)
        sys.exit("bye")


def test_an_exit_is_an_error_of_the_model() -> None:
    with pytest.raises(RuntimeError, match=r"end of the program \(SystemExit: bye\)"):
        call_model(Exits(nn.Identity()), torch.ones(1))
    assert call_model(nn.Identity(), torch.ones(1)).item() == 1


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.LazyLinear(2)])
def test_tracing_a_model_that_exits(layer: nn.Module) -> None:
    with pytest.raises(ghn.TraceError, match=r"the forward pass of Exits fails .* end of the program"):
        ghn.initialize(Exits(layer), "ghn3-t-cifar10", torch.ones(2, 3))
